"""Tasks of one kind of demand: workers are leased as they are needed, used again for the next, and given back when there is nothing to do."""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import Any

import msgspec

from ..errors import CancelledError, TwinkleError, WorkerDiedError
from .actor_line import Connect
from .calls import Call, WorkerLine
from .link import Asked, Link
from .protocol import Demand, Lease
from .refs import RefTable
from .stored import Stored

KEEP_S = 1.0
"""A worker without a task is kept for the next so long, unless somebody else waits."""
MOST_ASKED = 64
"""Questions for workers on their way at once."""


class _Leased:
    __slots__ = ("call", "lease", "line", "since")

    def __init__(self, lease: Lease) -> None:
        self.lease = lease
        self.line: WorkerLine | None = None
        self.call: Call | None = None
        self.since = 0.0


class TaskLane:
    """Thread-safe. ``tick`` has to be called now and then."""

    def __init__(self, demand: Demand, link: Link, refs: RefTable, connect: Connect) -> None:
        self._demand = demand
        self._link = link
        self._refs = refs
        self._connect = connect
        self._lock = threading.RLock()
        self._waiting: deque[Call] = deque()
        self._idle: list[_Leased] = []
        self._busy: dict[int, _Leased] = {}
        self._asked: list[Asked] = []

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
                self._enter(call)

        for slot in missing:
            self._refs.when_done(slot, one_more)

    def lost(self, lease: int, how: str) -> None:
        """The node says that a worker has ended."""
        with self._lock:
            leased = self._busy.pop(lease, None)
            self._idle = [one for one in self._idle if one.lease.lease != lease]
        if leased is None or leased.call is None:
            return
        call, leased.call = leased.call, None
        if call.retries != 0 and not call.cancelled:
            call.retries -= call.retries > 0
            self._enter(call)
            return
        if call.cancelled:
            error: TwinkleError = CancelledError(call.where)
        else:
            error = WorkerDiedError(call.where, leased.lease.node, leased.lease.pid, how)
        self._done(call, Stored(None, error=error))

    def give_back(self, older_than: float | None = None) -> None:
        """Release workers that do nothing: all of them, or those that have for so long (time.monotonic)."""
        with self._lock:
            gone = [one for one in self._idle if older_than is None or one.since < older_than]
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
            if call not in self._waiting:
                return
            self._waiting.remove(call)
        self._done(call, Stored(None, error=CancelledError(call.where)))

    def fail(self, error: TwinkleError) -> None:
        """The node is away."""
        with self._lock:
            calls = [*self._waiting, *(one.call for one in self._busy.values() if one.call is not None)]
            self._waiting.clear()
            self._busy.clear()
            self._idle.clear()
        for call in calls:
            self._done(call, Stored(None, error=error))

    def _enter(self, call: Call) -> None:
        failed = call.failed_argument()
        if failed is not None:
            self._done(call, failed)
            return
        with self._lock:
            self._waiting.append(call)
        self._feed()

    def _feed(self) -> None:
        with self._lock:
            while self._waiting and self._idle:
                leased = self._idle.pop()
                line = leased.line
                if line is None or line.ended:
                    continue  # the node will say so
                leased.call = self._waiting.popleft()
                self._busy[leased.lease.lease] = leased
                line.send(leased.call)
            wanted = min(len(self._waiting), MOST_ASKED)
            surplus, self._asked = self._asked[wanted:], self._asked[:wanted]
            for _ in range(wanted - len(self._asked)):
                self._asked.append(self._link.ask("lease", self._demand, then=self._leased))
        for asked in surplus:
            self._link.withdraw(asked)  # should a worker come all the same, it is kept for a moment as any other

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
                leased.lease.path, lambda call, stored: self._over(leased, call, stored), lambda _: None
            )
        except OSError as error:
            if leased.lease.lease in self._busy:
                self.lost(leased.lease.lease, str(error))
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

    def _over(self, leased: _Leased, call: Call, stored: Stored) -> None:
        with self._lock:
            self._busy.pop(leased.lease.lease, None)
            leased.call = None
            leased.since = time.monotonic()
            self._idle.append(leased)
        if stored.failed and call.again and call.retries != 0 and not call.cancelled:
            call.retries -= call.retries > 0
            self._enter(call)
            return
        self._done(call, stored)
        self._feed()

    def _done(self, call: Call, stored: Stored) -> None:
        call.keep = ()
        call.args.keep.clear()
        if call.items is not None and stored.error is not None:
            call.items(stored)
        self._refs.fulfil(call.slot, stored)
