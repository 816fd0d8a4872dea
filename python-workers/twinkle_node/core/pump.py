"""Moves what comes in on a process's connections: by the thread that waits for it, or, while nobody waits, by one in the background.

A thread that waits for an answer reads it itself, so that an answer costs one wake-up and no change of threads. The background thread
stays away for a moment after each of those, or the two would fight over every frame.
"""

from __future__ import annotations

import os
import select
import threading
import time
from collections.abc import Callable
from typing import Protocol

QUIET_S = 0.004
"""So long after somebody waited the background thread leaves the connections alone: the next call is likely near."""


class Connection(Protocol):
    """What the pump watches."""

    def fileno(self) -> int: ...

    def readable(self) -> None: ...

    def writable(self) -> None: ...


class Pump:
    """``start`` begins the background thread; ``close`` ends it."""

    def __init__(self, idle: Callable[[], float | None] = lambda: None) -> None:
        """``idle``: called by whoever pumps, between frames; returns seconds after which it wants to be called at the latest."""
        self._epoll = select.epoll()
        self._connections: dict[int, Connection] = {}
        self._idle = idle
        self._baton = threading.Lock()  # who has it reads
        self._kick = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._epoll.register(self._kick, select.EPOLLIN)
        self._wanted = 0
        self._waiters: set[threading.Event] = set()
        self._last = 0.0
        self._closed = False
        self._quiet = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        self._thread = threading.Thread(target=self._background, name="twinkle-pump", daemon=True)
        self._thread.start()

    def add(self, connection: Connection) -> None:
        fd = connection.fileno()
        self._connections[fd] = connection
        self._epoll.register(fd, select.EPOLLIN)

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
        if fd in self._connections:
            self._epoll.modify(fd, select.EPOLLIN | (select.EPOLLOUT if wanted else 0))

    def drive(self, done: Callable[[], bool], deadline: float | None = None) -> bool:
        """Pump until ``done()``; False when ``deadline`` (time.monotonic) came first. Any number of threads may wait at once."""
        if done():
            return True
        if not self._baton.acquire(blocking=False) and not self._take_over(done, deadline):
            return done()
        try:
            while not done():
                left = None if deadline is None else deadline - time.monotonic()
                if left is not None and left <= 0:
                    return False
                self._turn(left)
                if self._waiters:
                    self._tell_waiters()
            return True
        finally:
            self._last = time.monotonic()
            self._baton.release()
            if self._waiters:
                self._tell_waiters()

    def wake(self) -> None:
        """Make whoever pumps look again at what it waits for: something other than a frame has changed."""
        try:
            os.eventfd_write(self._kick, 1)
        except (BlockingIOError, OSError):
            pass

    def close(self) -> None:
        """Nothing is read any more. Idempotent."""
        if self._closed:
            return
        self._closed = True
        self._quiet.set()
        self.wake()
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join()
        self._epoll.close()
        os.close(self._kick)

    def _take_over(self, done: Callable[[], bool], deadline: float | None) -> bool:
        """Have the baton (True), or see that another's pumping was enough, or that it is too late (False)."""
        seen = threading.Event()
        self._waiters.add(seen)
        self._wanted += 1
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
            self._wanted -= 1
            self._waiters.discard(seen)

    def _tell_waiters(self) -> None:
        for event in list(self._waiters):
            event.set()

    def _turn(self, timeout: float | None) -> float | None:
        for fd, events in self._epoll.poll(-1 if timeout is None else timeout):
            if fd == self._kick:
                try:
                    os.eventfd_read(self._kick)
                except BlockingIOError:
                    pass
                continue
            connection = self._connections.get(fd)
            if connection is None:
                continue
            if events & select.EPOLLOUT:
                connection.writable()
            if events & ~select.EPOLLOUT:
                connection.readable()
        return self._idle()

    def _background(self) -> None:
        while not self._closed:
            if time.monotonic() - self._last < QUIET_S or not self._baton.acquire(blocking=False):
                self._quiet.wait(QUIET_S)
                continue
            try:
                next_s: float | None = 0.0
                while not self._closed and self._wanted == 0:
                    next_s = self._turn(next_s)
            finally:
                self._baton.release()
                self._tell_waiters()
            if self._wanted > 0:
                self._last = time.monotonic()  # it is theirs now
