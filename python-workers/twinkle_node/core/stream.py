"""A connected stream socket that carries frames: any thread writes, one at a time reads. Never blocks."""

from __future__ import annotations

import socket
import threading
from collections import deque
from collections.abc import Callable
from typing import Protocol

from .wire import BrokenFrame, FrameReader

CHUNK = 1 << 18
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
        self._lock = threading.Lock()
        self._unsent: deque[memoryview] = deque()
        self._waiting = 0
        self._ended = False

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

    def readable(self) -> None:
        """Take what is there."""
        try:
            data = self._sock.recv(CHUNK)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self.end(error.strerror or str(error))
            return
        if not data:
            self.end("it was closed")
            return
        try:
            frames = self._reader.feed(data)
        except BrokenFrame as error:
            self.end(str(error))
            return
        for head, body in frames:
            self._on_frame(head, body)

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
        self._on_end(reason)
        self._sock.close()

    def _try(self, data: bytes | memoryview) -> int:
        try:
            return self._sock.send(data)
        except (BlockingIOError, InterruptedError):
            return 0
        except OSError:
            return len(data)  # whoever reads sees the end, with the reason
