"""Calls of this process to one actor: in their order, through its restarts, to its end."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

import msgspec

from ..errors import ActorDiedError, CancelledError, RuntimeEnvSetupError, TwinkleError
from .calls import Call, WorkerLine, finish
from .protocol import ActorCard, ActorState
from .refs import RefTable
from .stored import Stored

Connect = Callable[[str, str, Callable[[Call, Stored], None], Callable[[str], None], bool], WorkerLine]
"""(path, node, on_over, on_end, in_turn) → a connection with a worker of that node."""

Over = list[tuple[Call, Stored]]


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
        self._over: TwinkleError | None = None

    @property
    def actor(self) -> str:
        """Its id."""
        return self._card.id

    @property
    def pending(self) -> int:
        """Calls that have no answer yet."""
        line = self._line
        return len(self._queue) + len(self._lost) + (0 if line is None else len(line.calls))

    def worker_of(self, call: Call) -> int | None:
        """0, since who the worker is only the node knows; None: it was not sent."""
        line = self._line
        return 0 if line is not None and line.calls.get(call.number) is call else None

    def submit(self, call: Call) -> None:
        """Send it when it is its turn."""
        with self._lock:
            over = self._over
            if over is None:
                self._queue.append(call)
        if over is not None:
            self._done(call, Stored(None, error=over))
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
        over: Over = []
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
                    continue
                try:
                    self._line.send(call)
                except TwinkleError as error:
                    over.append((call, Stored(None, error=error)))
            self._queue.extendleft(reversed(waiting))
        for call, stored in over:
            self._done(call, stored)

    def heard(self, state: ActorState, body: bytes) -> None:
        """The node says how it is."""
        if state.state not in ("ALIVE", "RESTARTING", "DEAD") or (
            state.state == "ALIVE" and state.epoch <= self._epoch
        ):
            return
        line = self._line
        if line is not None:
            line.drain()  # what that life has answered counts
        over: Over = []
        with self._lock:
            self._retire()
            if state.state == "DEAD":
                self._over = self._death(state, body)
                # A call that was cancelled in time is so, whatever ended the actor.
                over += [(call, self._cancelled(call) or Stored(None, error=self._over)) for call in self._lost]
                over += [(call, Stored(None, error=self._over)) for call in self._queue]
                self._lost.clear()
                self._queue.clear()
            else:
                over += self._again(state.reason or "its process ended")
            if state.state == "ALIVE":
                self._epoch = state.epoch
                if state.ordered is not None and state.ordered != self._card.ordered:
                    self._card = msgspec.structs.replace(self._card, ordered=state.ordered)
                over += self._meet(state.path, state.node)
        for call, stored in over:
            self._done(call, stored)
        self.flush()

    def fail(self, error: TwinkleError) -> None:
        """The node is away: nothing will be heard of it any more."""
        with self._lock:
            self._retire()
            calls = [*self._lost, *self._queue]
            self._queue.clear()
            self._lost.clear()
            self._over = ActorDiedError(self._card.id, self._card.cls_name, error.message)
        for call in calls:
            self._done(call, Stored(None, error=error))

    def withdraw(self, call: Call) -> None:
        """Cancel a call: one that was not sent is gone, of one that was the worker is told."""
        with self._lock:
            kept = next((calls for calls in (self._queue, self._lost) if call in calls), None)
            if kept is not None:
                kept.remove(call)
            elif self._line is not None and self._line.calls.get(call.number) is call:
                self._line.withdraw(call)
        if kept is not None:
            self._done(call, Stored(None, error=CancelledError(call.where)))

    def _meet(self, path: str, node: str) -> Over:
        """Connect with a new life. Calls fail when that cannot be done."""

        def ended(_reason: str) -> None:
            with self._lock:
                if self._line is not None and self._line.ended:
                    self._retire()

        try:
            self._line = self._connect(path, node, self._done, ended, self._card.ordered)
        except (ConnectionRefusedError, FileNotFoundError):
            return []  # it ended at once: the node will say so
        except OSError as error:  # of this process: it has too many files
            why = TwinkleError(
                "CHANNEL_CLOSED", f"no connection with actor {self._card.id} can be made: {error.strerror}"
            )
            calls = [*self._queue]
            self._queue.clear()
            self._over = why
            return [(call, Stored(None, error=why)) for call in calls]
        return []

    def _retire(self) -> None:
        """With the lock: its calls wait for what the node says."""
        line, self._line = self._line, None
        if line is None:
            return
        self._lost += line.calls.values()
        line.calls.clear()
        line.close()

    def _again(self, reason: str) -> Over:
        """Calls of a life that has ended: those that may be repeated go first, in their order; the others fail."""
        over: Over = []
        repeated: list[Call] = []
        for call in self._lost:
            cancelled = self._cancelled(call)
            if cancelled is not None:
                over.append((call, cancelled))
            elif call.retries == 0:
                error = ActorDiedError(self._card.id, self._card.cls_name, reason, restarting=True)
                over.append((call, Stored(None, error=error)))
            else:
                call.retries -= call.retries > 0
                repeated.append(call)
        self._lost.clear()
        self._queue.extendleft(reversed(repeated))
        return over

    def _cancelled(self, call: Call) -> Stored | None:
        return Stored(None, error=CancelledError(call.where)) if call.cancelled else None

    def _done(self, call: Call, stored: Stored) -> None:
        finish(call, stored, self._refs)

    def _death(self, state: ActorState, body: bytes) -> TwinkleError:
        if state.code == "RUNTIME_ENV":
            return RuntimeEnvSetupError(f"{self._card.cls_name}: {state.reason}")
        error = ActorDiedError(state.id, self._card.cls_name, state.reason, node=state.node, pid=state.pid or None)
        if state.cause is not None:
            error.__cause__ = Stored(state.cause, body).exception()
        return error
