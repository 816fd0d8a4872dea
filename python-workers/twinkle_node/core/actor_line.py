"""Calls of this process to one actor: in their order, through its restarts, to its end."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

from ..errors import ActorDiedError, CancelledError, TwinkleError
from .calls import Call, WorkerLine
from .protocol import ActorCard, ActorState
from .refs import RefTable
from .stored import Stored

Connect = Callable[[str, Callable[[Call, Stored], None], Callable[[str], None]], WorkerLine]
"""(path, on_over, on_end) → a connection with a worker."""


class ActorLine:
    """One per actor and process. ``heard`` is told by the node how the actor is."""

    def __init__(self, card: ActorCard, refs: RefTable, connect: Connect) -> None:
        self._card = card
        self._refs = refs
        self._connect = connect
        self._lock = threading.RLock()
        self._queue: deque[Call] = deque()  # not sent yet
        self._lost: list[Call] = []  # sent to a life that has ended; why, the node will say
        self._line: WorkerLine | None = None
        self._epoch = -1
        self._over: ActorDiedError | None = None

    @property
    def pending(self) -> int:
        """Calls that have no answer yet."""
        line = self._line
        return len(self._queue) + len(self._lost) + (0 if line is None else len(line.calls))

    def submit(self, call: Call) -> None:
        """Send it when it is its turn."""
        with self._lock:
            if self._over is None:
                self._queue.append(call)
        if self._over is not None:
            self._refs.fulfil(call.slot, Stored(None, error=self._over))
            return
        for slot in call.given:
            if not slot.done:
                self._refs.when_done(slot, lambda _: self.flush())
        self.flush()
        line = self._line
        if line is not None:
            line.relieve()

    def flush(self) -> None:
        """Send what can be sent."""
        over: list[tuple[Call, Stored]] = []
        with self._lock:
            waiting: list[Call] = []
            while self._queue and self._line is not None and not self._line.ended:
                call = self._queue[0]
                if not call.ready:
                    if self._card.ordered:
                        break
                    waiting.append(self._queue.popleft())
                    continue
                self._queue.popleft()
                failed = call.failed_argument()
                if failed is not None:
                    over.append((call, failed))
                else:
                    self._line.send(call)
            self._queue.extendleft(reversed(waiting))
        for call, stored in over:
            self._done(call, stored)

    def heard(self, state: ActorState, body: bytes) -> None:
        """The node says how it is."""
        failed: list[tuple[Call, BaseException]] = []
        with self._lock:
            if state.state == "ALIVE" and state.epoch > self._epoch:
                self._epoch = state.epoch
                failed += self._again("it was started again")
                try:
                    self._line = self._connect(state.path, self._done, self._ended)
                except OSError:
                    self._line = None  # it ended at once: the node will say so
            elif state.state in ("RESTARTING", "DEAD"):
                line, self._line = self._line, None
                if line is not None:
                    self._lost += line.calls.values()
                    line.calls.clear()
                    line.close()
            if state.state == "RESTARTING":
                failed += self._again(state.reason)
            if state.state == "DEAD":
                self._over = self._death(state, body)
                failed += [(call, self._over) for call in (*self._lost, *self._queue)]
                self._lost.clear()
                self._queue.clear()
        for call, error in failed:
            self._done(call, Stored(None, error=error))
        self.flush()

    def fail(self, error: TwinkleError) -> None:
        """The node is away: nothing will be heard of it any more."""
        with self._lock:
            line, self._line = self._line, None
            calls = [*self._lost, *(line.calls.values() if line is not None else ()), *self._queue]
            self._queue.clear()
            self._lost.clear()
            self._over = ActorDiedError(self._card.id, self._card.cls_name, error.message)
        for call in calls:
            self._done(call, Stored(None, error=error))

    def withdraw(self, call: Call) -> None:
        """Cancel a call: one that was not sent is gone, of one that was the worker is told."""
        with self._lock:
            if call in self._queue:
                self._queue.remove(call)
                cancelled = True
            else:
                cancelled = False
                if self._line is not None and self._line.calls.get(call.number) is call:
                    self._line.withdraw(call)
        if cancelled:
            self._done(call, Stored(None, error=CancelledError(call.where)))

    def _again(self, reason: str) -> list[tuple[Call, BaseException]]:
        """Calls of a life that has ended: those that may be repeated go first, in their order; the others fail."""
        failed: list[tuple[Call, BaseException]] = []
        repeated: list[Call] = []
        for call in self._lost:
            if call.retries == 0 or call.items is not None:
                error = ActorDiedError(self._card.id, self._card.cls_name, reason, restarting=True)
                failed.append((call, error))
                continue
            call.retries -= call.retries > 0
            repeated.append(call)
        self._lost.clear()
        self._queue.extendleft(reversed(repeated))
        return failed

    def _ended(self, _reason: str) -> None:
        with self._lock:
            line, self._line = self._line, None
            if line is not None:
                self._lost += line.calls.values()
                line.calls.clear()

    def _done(self, call: Call, stored: Stored) -> None:
        call.keep = ()
        call.args.keep.clear()
        if call.items is not None and stored.error is not None:
            call.items(stored)
        self._refs.fulfil(call.slot, stored)

    def _death(self, state: ActorState, body: bytes) -> ActorDiedError:
        error = ActorDiedError(state.id, self._card.cls_name, state.reason, node=state.node, pid=state.pid or None)
        if state.cause is not None:
            error.__cause__ = Stored(state.cause, body).exception()
        return error
