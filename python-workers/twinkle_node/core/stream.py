"""A connected stream socket that carries frames: any thread writes, one at a time reads. Never blocks."""

from __future__ import annotations

import select
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Protocol

from .forks import leave_at_fork
from .wire import BrokenFrame, FrameReader

CHUNK = 1 << 16
CROWDED = 8 << 20
"""Bytes that wait to be sent, over which a writer should wait."""


class Watcher(Protocol):
    """Who watches descriptors."""

    def want_write(self, fd: int, wanted: bool) -> None:
        """Tell when it can be written to."""
        ...


class Stream:
    """``on_frame(head, body)`` and, once, ``on_end(reason)`` are called by whoever reads."""

    def __init__(
        self,
        sock: socket.socket,
        watcher: Watcher,
        on_frame: Callable[[memoryview, memoryview], None],
        on_end: Callable[[str], None],
    ) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._watcher = watcher
        self._on_frame = on_frame
        self._on_end = on_end
        self._reader = FrameReader()
        self._frames: deque[tuple[memoryview, memoryview]] = deque()  # read, not handled yet
        self._reading = threading.Lock()  # the descriptor stays what it is
        self._lock = threading.Lock()
        self._unsent: deque[memoryview] = deque()
        self._waiting = 0
        self._ended = False
        leave_at_fork(self)

    def fileno(self) -> int:
        return self._sock.fileno()

    @property
    def ended(self) -> bool:
        return self._ended

    @property
    def crowded(self) -> bool:
        """So much waits to be sent that nobody should add to it."""
        return self._waiting > CROWDED

    def send(self, data: bytes) -> None:
        """Send, or keep until it can be. What is sent into a connection that has ended is lost: its end is told to whoever reads."""
        with self._lock:
            if self._ended:
                return
            if not self._unsent:
                sent = self._try(data)
                if sent == len(data):
                    return
                self._watcher.want_write(self._sock.fileno(), True)
                self._unsent.append(memoryview(data)[sent:])
                self._waiting += len(data) - sent
                return
            self._unsent.append(memoryview(data))
            self._waiting += len(data)

    def readable(self) -> bool:
        """Take what is there, up to a chunk. Returns whether there was anything."""
        reason, data = "", None
        with self._reading:
            try:
                data = self._sock.recv(CHUNK)
                if data:
                    self._frames.extend(self._reader.feed(data))
                else:
                    reason = "it was closed"
            except (BlockingIOError, InterruptedError):
                pass
            except BrokenFrame as error:
                reason = str(error)
            except OSError as error:
                reason = error.strerror or str(error)
        self._deliver()
        if reason:
            self.end(reason)
        return bool(data) and not self._ended

    def drain(self, wait_s: float = 0.0) -> None:
        """Take all that is there, and what comes until the other side's end, for so many seconds at most. For who pumps."""
        deadline = time.monotonic() + wait_s
        while True:
            while self.readable():
                pass
            left = deadline - time.monotonic()
            with self._lock:  # the descriptor stays what it is
                if self._ended or left <= 0:
                    return
                poller = select.poll()
                poller.register(self._sock, select.POLLIN)
            poller.poll(left * 1000)

    def writable(self) -> None:
        """Send what waits."""
        with self._lock:
            while self._unsent and not self._ended:
                first = self._unsent[0]
                sent = self._try(first)
                self._waiting -= sent
                if sent < len(first):
                    self._unsent[0] = first[sent:]
                    return
                self._unsent.popleft()
            if not self._ended:
                self._watcher.want_write(self._sock.fileno(), False)

    def end(self, reason: str) -> None:
        """Close. Idempotent."""
        with self._lock:
            if self._ended:
                return
            self._ended = True
            self._unsent.clear()
            self._waiting = 0
        try:
            self._on_end(reason)
        finally:
            with self._reading:
                self._sock.close()

    def leave_to_parent(self) -> None:
        """See Shared of forks."""
        self._ended = True
        self._lock, self._reading = threading.Lock(), threading.Lock()
        self._unsent.clear()
        self._frames.clear()
        self._sock.close()

    def _deliver(self) -> None:
        # What a frame causes may wait for later ones, and read them in here: so each is taken out before it is handled.
        while self._frames and not self._ended:
            head, body = self._frames.popleft()
            try:
                self._on_frame(head, body)
            except Exception as error:
                self.end(f"what it sent cannot be understood: {type(error).__name__}: {error}")

    def _try(self, data: bytes | memoryview) -> int:
        try:
            return self._sock.send(data)
        except (BlockingIOError, InterruptedError):
            return 0
        except OSError:
            return len(data)  # whoever reads sees the end, with the reason
