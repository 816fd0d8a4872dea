"""Tasks of one kind of demand: workers are leased as they are needed, kept for the next task, and given back when there is none."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

import msgspec

from ..errors import CancelledError, TwinkleError, WorkerDiedError
from .actor_line import Connect
from .calls import Call, WorkerLine, finish
from .link import Asked, Link
from .protocol import Demand, Lease
from .refs import RefTable
from .stored import Stored

KEEP_S = 1.0
"""A worker without a task is kept for the next so long, unless somebody else waits."""
MOST_ASKED = 64
"""Questions for workers on their way at once."""


class _Leased:
    __slots__ = ("call", "lease", "line", "since", "spent")

    def __init__(self, lease: Lease) -> None:
        self.lease = lease
        self.line: WorkerLine | None = None
        self.call: Call | None = None
        self.since = 0.0
        self.spent = False


class TaskLane:
    """Thread-safe. ``tick`` has to be called now and then."""

    def __init__(self, demand: Demand, link: Link, refs: RefTable, connect: Connect) -> None:
        self._demand = demand
        self._link = link
        self._refs = refs
        self._connect = connect
        self._lock = threading.RLock()
        self._early: dict[Call, None] = {}  # their arguments are not there yet
        self._waiting: deque[Call] = deque()
        self._idle: list[_Leased] = []
        self._busy: dict[int, _Leased] = {}
        self._asked: list[Asked] = []
        self._over: TwinkleError | None = None

    def submit(self, call: Call) -> None:
        """Run it when its arguments are there and a worker is free."""
        missing = [slot for slot in call.given if not slot.done]
        if not missing:
            self._enter(call)
            return
        left = [None] * (len(missing) - 1)

        def one_more(_: Any) -> None:
            try:
                left.pop()
            except IndexError:
                with self._lock:
                    if call not in self._early:
                        return  # it was cancelled, or the node is away
                    del self._early[call]
                self._enter(call)

        with self._lock:
            self._early[call] = None
        for slot in missing:
            self._refs.when_done(slot, one_more)

    def lost(self, lease: int, how: str) -> None:
        """The node says that a worker has ended."""
        leased = self._of(lease)
        if leased is None:
            return
        if leased.line is not None:
            leased.line.drain()  # what it has answered counts
        with self._lock:
            self._busy.pop(lease, None)
            self._idle = [one for one in self._idle if one is not leased]
            call, leased.call = leased.call, None
        if leased.line is not None:
            leased.line.close()
        if call is None:
            pass
        elif call.cancelled:
            self._done(call, Stored(None, error=CancelledError(call.where)))
        elif call.retries != 0:
            call.retries -= call.retries > 0
            self._enter(call)
        else:
            error = WorkerDiedError(call.where, leased.lease.node, leased.lease.pid, how)
            self._done(call, Stored(None, error=error))
        self._feed()  # others may have waited for that worker, and been refused another

    def give_back(self, older_than: float | None = None) -> None:
        """Release workers that do nothing: all of them, or those that have for so long (time.monotonic)."""
        self._release(lambda one: older_than is None or one.since < older_than)

    def spent(self, lease: int) -> None:
        """Its worker waited inside a task and lent its CPUs: it takes no other task."""
        with self._lock:
            leased = self._busy.get(lease)
            if leased is not None:
                leased.spent = True
        self._release(lambda one: one.lease.lease == lease)

    def _release(self, chosen: Callable[[_Leased], bool]) -> None:
        with self._lock:
            gone = [one for one in self._idle if chosen(one)]
            self._idle = [one for one in self._idle if one not in gone]
        for one in gone:
            if one.line is not None:
                one.line.close()
            self._link.tell("release", {"lease": one.lease.lease})

    @property
    def keeps(self) -> bool:
        """It has workers that do nothing."""
        return len(self._idle) > 0

    def tick(self) -> None:
        self.give_back(time.monotonic() - KEEP_S)

    def worker_of(self, call: Call) -> int | None:
        """Client number of the worker that runs it; None: it does not run."""
        return next((one.lease.worker for one in list(self._busy.values()) if one.call is call), None)

    def withdraw(self, call: Call) -> None:
        """Cancel a call that has not begun. The one who calls sees to those that have."""
        with self._lock:
            if call in self._early:
                del self._early[call]
            elif call in self._waiting:
                self._waiting.remove(call)
            else:
                return
        self._done(call, Stored(None, error=CancelledError(call.where)))
        self._feed()  # it may have asked for a worker that nobody needs now

    def fail(self, error: TwinkleError) -> None:
        """The node is away."""
        with self._lock:
            self._over = error
            leased = [*self._busy.values(), *self._idle]
            calls = [*self._early, *self._waiting, *(one.call for one in leased if one.call is not None)]
            self._early.clear()
            self._waiting.clear()
            self._busy.clear()
            self._idle.clear()
        for one in leased:
            if one.line is not None:
                one.line.close()
        for call in calls:
            self._done(call, Stored(None, error=error))

    def _of(self, lease: int) -> _Leased | None:
        with self._lock:
            return self._busy.get(lease) or next((one for one in self._idle if one.lease.lease == lease), None)

    def _enter(self, call: Call) -> None:
        stored = call.failed_argument()
        if stored is None and call.cancelled:
            stored = Stored(None, error=CancelledError(call.where))
        if stored is None:
            with self._lock:
                if self._over is None:
                    self._waiting.append(call)
                else:
                    stored = Stored(None, error=self._over)
        if stored is None:
            self._feed()
        else:
            self._done(call, stored)

    def _feed(self) -> None:
        failed: list[tuple[Call, TwinkleError]] = []
        with self._lock:
            while self._waiting and self._idle:
                leased = self._idle.pop()
                line = leased.line
                if line is None or line.ended:
                    # Should its worker have ended, the node knows.
                    self._link.tell("release", {"lease": leased.lease.lease})
                    continue
                call = self._waiting.popleft()
                try:
                    line.send(call)
                except TwinkleError as error:
                    failed.append((call, error))
                    self._idle.append(leased)
                    continue
                leased.call = call
                self._busy[leased.lease.lease] = leased
            wanted = min(len(self._waiting), MOST_ASKED)
            surplus, self._asked = self._asked[wanted:], self._asked[:wanted]
            if self._over is None:
                for _ in range(wanted - len(self._asked)):
                    self._asked.append(self._link.ask("lease", self._demand, then=self._leased))
        for asked in surplus:
            self._link.withdraw(asked)  # should a worker come all the same, it is kept for a moment as any other
        for call, error in failed:
            self._done(call, Stored(None, error=error))

    def _leased(self, asked: Asked) -> None:
        with self._lock:
            counted = asked in self._asked
            if counted:
                self._asked.remove(asked)
        try:
            answer, _ = asked.result()
        except TwinkleError as error:
            if counted:
                self._refused(error)
            return
        leased = _Leased(msgspec.convert(answer, Lease))
        try:
            leased.line = self._connect(
                leased.lease.path,
                leased.lease.node,
                lambda call, stored: self._replied(leased, call, stored),
                lambda _: None,  # the node says what became of its worker
                False,
            )
        except OSError as error:
            self._link.tell("release", {"lease": leased.lease.lease})
            if not isinstance(
                error, (ConnectionRefusedError, FileNotFoundError)
            ):  # of this process: it has too many files
                why = TwinkleError("CHANNEL_CLOSED", f"no connection with a worker can be made: {error.strerror}")
                self._refused(why)
            self._feed()  # that worker has ended: another is asked for
            return
        with self._lock:
            leased.since = time.monotonic()
            self._idle.append(leased)
        self._feed()

    def _refused(self, error: TwinkleError) -> None:
        """No worker can be had: tasks that wait for one fail, when nobody else will take them."""
        with self._lock:
            if self._busy or self._asked or self._idle:
                return
            calls = list(self._waiting)
            self._waiting.clear()
        for call in calls:
            self._done(call, Stored(None, error=error))

    def _replied(self, leased: _Leased, call: Call, stored: Stored) -> None:
        with self._lock:
            if self._busy.pop(leased.lease.lease, None) is not None:
                leased.call = None
                leased.since = time.monotonic()
                self._idle.append(leased)
        if leased.spent:
            self._release(lambda one: one is leased)
        if stored.failed and call.again and call.retries != 0 and not call.cancelled:
            call.retries -= call.retries > 0
            self._enter(call)
            return
        self._done(call, stored)
        self._feed()

    def _done(self, call: Call, stored: Stored) -> None:
        finish(call, stored, self._refs)
