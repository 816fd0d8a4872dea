"""Moves what comes in on a process's connections: by the thread that waits for it, or, while nobody waits, by one in the background.

A thread that waits for an answer reads it itself, so that an answer costs one wake-up and no change of threads. The background thread
stays away for a moment after each of those, or the two would fight over every frame.
"""

from __future__ import annotations

import os
import select
import threading
import time
import weakref
from collections.abc import Callable
from typing import Protocol

from ..errors import TwinkleError
from .awake import await_events
from .forks import leave_at_fork

QUIET_S = 0.004
"""So long after somebody waited the background thread leaves the connections alone: the next call is likely near."""
CLOSE_S = 1.0
"""``close`` waits so long for threads that pump, and leaves the rest to the collector."""


class Connection(Protocol):
    """What the pump watches."""

    def fileno(self) -> int: ...

    def readable(self) -> object: ...

    def writable(self) -> None: ...


class Held(Protocol):
    """What sends later than it was asked to."""

    def release(self) -> None: ...


class Pump:
    """``start`` begins the background thread; ``close`` ends it."""

    def __init__(self, idle: Callable[[], float | None] = lambda: None) -> None:
        """``idle``: called by whoever pumps, before it sleeps; returns seconds after which it wants to be called at the latest."""
        self._epoll = select.epoll()
        self._connections: dict[int, Connection] = {}
        self._idle = idle
        self._baton = threading.Lock()  # who has it reads
        self._owner = 0  # the thread that has it
        self._kick = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        # Not before the last who might wake this has gone: its number may be another's file by then.
        weakref.finalize(self, os.close, self._kick).atexit = False
        self._epoll.register(self._kick, select.EPOLLIN)
        self.held: set[Held] = set()
        """What has held something back: told before anybody sleeps here."""
        self._waiters: set[threading.Event] = set()
        self._asleep = False
        self._last = 0.0
        self._closed = False
        self._gate = threading.Event()  # lets the background thread go on
        self._parked = False
        self._drives = 0
        self._background_ident = 0
        self._thread: threading.Thread | None = None
        leave_at_fork(self)

    def leave_to_parent(self) -> None:
        """See Shared of forks. Who waits here is told that this process has left."""
        self._closed = True
        self._thread = None
        self._baton = threading.Lock()
        self._owner = 0
        self._epoll.close()

    def start(self) -> None:
        self._thread = threading.Thread(target=self._background, name="twinkle-pump", daemon=True)
        self._thread.start()

    def add(self, connection: Connection) -> None:
        fd = connection.fileno()
        self._connections[fd] = connection
        try:
            self._epoll.register(fd, select.EPOLLIN)
        except ValueError:
            pass  # nothing is read any more

    def remove(self, fd: int) -> None:
        """Before it is closed. Fine when it is not watched."""
        if self._connections.pop(fd, None) is None:
            return
        try:
            self._epoll.unregister(fd)
        except (OSError, ValueError):
            pass  # closed already

    def want_write(self, fd: int, wanted: bool) -> None:
        """See Watcher of stream."""
        if fd not in self._connections:
            return
        try:
            self._epoll.modify(fd, select.EPOLLIN | (select.EPOLLOUT if wanted else 0))
        except (OSError, ValueError):
            pass  # it ends

    def drive(self, done: Callable[[], bool], deadline: float | None = None) -> bool:
        """Pump until ``done()``; False when ``deadline`` (time.monotonic) came first. Any number of threads may wait at once, also in what
        is called for a frame. Raises TwinkleError when the pump is closed before."""
        if done():
            return True
        me = threading.get_ident()
        if self._owner == me:  # called by what a frame has caused: the frames after it are read here
            return self._until(done, deadline)
        if not self._baton.acquire(blocking=False) and not self._take_over(done, deadline):
            return done()
        self._owner = me
        self._drives += 1
        try:
            return self._until(done, deadline)
        finally:
            self._owner = 0
            self._last = time.monotonic()
            self._baton.release()
            if self._waiters:
                self._tell_waiters()
            if self._parked:
                self._gate.set()

    def wake(self) -> None:
        """Make whoever pumps look again at what it waits for: something other than a frame has changed."""
        try:
            os.eventfd_write(self._kick, 1)
        except OSError:
            pass  # it is awake more than enough

    def nudge(self) -> None:
        """``wake``, if somebody sleeps. Takes no lock, so that finalisers may call it."""
        if self._asleep:
            self.wake()

    def close(self) -> None:
        """Nothing is read any more. Idempotent."""
        if self._closed:
            return
        self._closed = True
        self._gate.set()
        self.wake()
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join()
        if self._owner != threading.get_ident() and self._baton.acquire(timeout=CLOSE_S):
            self._epoll.close()
            self._baton.release()
            self._tell_waiters()

    def _take_over(self, done: Callable[[], bool], deadline: float | None) -> bool:
        """Have the baton (True), or see that another's pumping was enough, or that it is too late (False)."""
        seen = threading.Event()
        self._waiters.add(seen)
        try:
            self.wake()  # the background thread gives the baton away
            while not done():
                if self._baton.acquire(blocking=False):
                    return True
                left = None if deadline is None else deadline - time.monotonic()
                if left is not None and left <= 0:
                    return False
                seen.wait(left)
                seen.clear()
            return False
        finally:
            self._waiters.discard(seen)

    def _tell_waiters(self) -> None:
        for event in list(self._waiters):
            event.set()

    def _until(self, done: Callable[[], bool], deadline: float | None) -> bool:
        while not done():
            if self._closed:
                raise TwinkleError("HEAD_UNREACHABLE", "this process has left the cluster")
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                return False
            self._turn(left)
            if self._waiters:
                self._tell_waiters()
        return True

    def _turn(self, timeout: float | None) -> None:
        # An interrupt may raise anywhere in here (interrupt.py), so nothing is taken in here that would be lost.
        while self.held:
            try:
                self.held.pop().release()
            except KeyError:
                break  # another thread was first
        self._asleep = True  # before the last look: what comes after it wakes
        due = self._idle()
        wait = due if timeout is None else timeout if due is None else min(timeout, due)
        awake = self._owner != self._background_ident
        events = await_events(self._epoll, wait, awake)
        self._asleep = False
        for fd, event in events:
            if fd == self._kick:
                self._awake()
                continue
            connection = self._connections.get(fd)
            if connection is None:
                continue
            if event & select.EPOLLOUT:
                connection.writable()
            if event & ~select.EPOLLOUT:
                connection.readable()

    def _awake(self) -> None:
        if self._closed:
            return  # it stays readable, for all who pump
        try:
            os.eventfd_read(self._kick)
        except BlockingIOError:
            pass

    def _background(self) -> None:
        self._background_ident = threading.get_ident()
        while not self._closed:
            if self._baton.locked():
                drives = self._drives
                self._rest()
                if drives == self._drives:
                    self._park()  # a long wait, not many short ones: those would wake this thread at each end
            elif self._waiters or time.monotonic() - self._last < QUIET_S:
                self._rest()
            elif self._baton.acquire(blocking=False):
                self._owner = threading.get_ident()
                try:
                    while not self._closed and not self._waiters:
                        self._turn(None)
                finally:
                    self._owner = 0
                    self._last = time.monotonic()  # it is theirs now
                    self._baton.release()
                    self._tell_waiters()

    def _rest(self) -> None:
        self._gate.clear()
        if not self._closed:
            self._gate.wait(QUIET_S)

    def _park(self) -> None:
        """Sleep while somebody else pumps, for however long that takes."""
        self._gate.clear()
        self._parked = True
        if self._baton.locked() and not self._closed:
            self._gate.wait()
        self._parked = False
