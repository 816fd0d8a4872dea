"""Frames over one end of a unix stream socketpair, between the engine process and a rank. Knows no command and no pickle.

A frame is a header (length, sequence number, kind) and a body. Reading is for one thread; sending is safe from several.
"""

from __future__ import annotations

import os
import select
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Iterable
from typing import NamedTuple

Buffer = bytes | bytearray | memoryview

_HEADER = struct.Struct("<QQQ")
_READ_AHEAD = 1 << 18
_SEND_BUFFER = 1 << 23
_SO_SNDBUFFORCE = 32
_MAX_PIECES = 512
"""Pieces of one ``sendmsg``; the kernel takes 1024."""

_SPIN_S = 5e-3
"""About a decode step of a small model: whoever blocks comes back on a cold core, some 60 µs late."""


class LinkClosed(ConnectionError):
    """The other process is gone, or has closed its end."""


class Frame(NamedTuple):
    """One message. body is writable where it is large, and the receiver's own in any case."""

    kind: int
    seq: int
    body: Buffer


def spin_s(processes: int) -> float:
    """Seconds to stay awake for the next frame before blocking: a wake-up is a noticeable part of a short decode step.

    processes: how many of the gang may spin at the same time. Without a core for each of them spinning steals from the one that works: 0.
    """
    return _SPIN_S if len(os.sched_getaffinity(0)) > processes else 0.0


class Link:
    """One end of a connection."""

    def __init__(self, fd: int) -> None:
        """Take over ``fd``, a connected stream socket."""
        self._socket = socket.socket(fileno=fd)
        self._socket.setblocking(False)
        os.set_inheritable(fd, False)
        _widen(self._socket)
        self._poll = select.poll()
        self._poll.register(fd, select.POLLIN)
        self._sending = threading.Lock()
        self._outbox: deque[memoryview] = deque()
        self._inbox: deque[Frame] = deque()
        self._ahead = bytearray(_READ_AHEAD)
        self._start = self._end = 0
        self._large: tuple[int, int, bytearray] | None = None
        self._filled = 0
        self.closed = False
        """The other end is gone; frames that came before may still be taken."""

    def fileno(self) -> int:
        """The descriptor, for polls."""
        return self._socket.fileno()

    # Sending

    def post(self, kind: int, seq: int, body: Iterable[Buffer]) -> None:
        """Put a frame behind those that wait to be sent; ``flush`` or the next ``send`` takes it along."""
        pieces = [memoryview(piece).cast("B") for piece in body if len(piece)]
        header = _HEADER.pack(sum(map(len, pieces)), seq, kind)
        with self._sending:
            self._outbox.append(memoryview(header))
            self._outbox.extend(pieces)

    def flush(self) -> bool:
        """Give the kernel what it takes without waiting; whether everything is out. Raises LinkClosed."""
        with self._sending:
            return self._flush()

    @property
    def waits(self) -> bool:
        """Whether something posted is not out yet."""
        return bool(self._outbox)

    def discard(self) -> None:
        """Forget what waits to be sent: nobody will read it."""
        with self._sending:
            self._outbox.clear()

    def send(self, kind: int, seq: int, body: Iterable[Buffer]) -> None:
        """``post`` and ``finish``. Raises LinkClosed."""
        self.post(kind, seq, body)
        self.finish()

    def finish(self) -> None:
        """Send what was posted, with one system call if it fits. Raises LinkClosed.

        Waits while the other side does not read. Two sides that did this at the same time would wait for ever: the engine
        process uses ``post`` and ``flush``, and reads meanwhile.
        """
        with self._sending:
            while not self._flush():
                poll = select.poll()
                poll.register(self.fileno(), select.POLLOUT)
                poll.poll()

    def _flush(self) -> bool:
        while self._outbox:
            pieces = [self._outbox[at] for at in range(min(len(self._outbox), _MAX_PIECES))]
            try:
                sent = self._socket.sendmsg(pieces, (), socket.MSG_NOSIGNAL)
            except BlockingIOError:
                return False
            except OSError as error:
                self._outbox.clear()
                raise LinkClosed(f"the other end of the link is gone: {error}") from error
            while self._outbox and sent >= len(self._outbox[0]):
                sent -= len(self._outbox.popleft())
            if sent:
                self._outbox[0] = self._outbox[0][sent:]
        return True

    # Receiving

    def receive(self, timeout_s: float | None = None, spin_s: float = 0.0) -> Frame | None:
        """The next frame, or None when none came in time. Raises LinkClosed after the last frame.

        timeout_s: None waits for ever, 0 only looks. spin_s: how much of the wait to spend awake.
        """
        frame = self.take()
        if frame is not None or timeout_s == 0:
            return frame
        now = time.perf_counter()
        deadline = None if timeout_s is None else now + timeout_s
        awake = now + spin_s if deadline is None else min(now + spin_s, deadline)
        while time.perf_counter() < awake:
            if (frame := self.take()) is not None:
                return frame
        while True:
            left = None if deadline is None else deadline - time.perf_counter()
            if left is not None and left <= 0:
                return self.take()
            self._poll.poll(None if left is None else left * 1000)
            if (frame := self.take()) is not None:
                return frame

    def take(self) -> Frame | None:
        """The next frame if it is there already. Raises LinkClosed when none can come any more."""
        if not self._inbox:
            self.pull()
            if not self._inbox and self.closed:
                raise LinkClosed("the other end of the link is closed")
        return self._inbox.popleft() if self._inbox else None

    def pop(self) -> Frame | None:
        """The next frame of those that ``pull`` has read."""
        return self._inbox.popleft() if self._inbox else None

    def has_frame(self) -> bool:
        """Whether ``take`` has a frame; also looks into the socket."""
        if not self._inbox:
            self.pull()
        return bool(self._inbox)

    def pull(self) -> None:
        """Read what the kernel holds, without waiting. Sets ``closed`` at the end of the connection."""
        while not self.closed:
            room = memoryview(self._large[2])[self._filled :] if self._large else memoryview(self._ahead)[self._end :]
            try:
                count = self._socket.recv_into(room)
            except BlockingIOError:
                return
            except OSError:  # reset: the other process died with frames of ours unread
                count = 0
            if count == 0:
                self.closed = True
                return
            if self._large:
                self._filled += count
                self._finish_large()
            else:
                self._end += count
                self._cut()
            if count < len(room):
                return  # the kernel had no more: saves the call that would say so

    def _finish_large(self) -> None:
        assert self._large is not None
        seq, kind, body = self._large
        if self._filled == len(body):
            self._large = None
            self._inbox.append(Frame(kind, seq, body))

    def _cut(self) -> None:
        """Take whole frames out of what was read ahead; the rest moves to the front, or into a buffer of its own size."""
        while self._end - self._start >= _HEADER.size:
            length, seq, kind = _HEADER.unpack_from(self._ahead, self._start)
            body = self._start + _HEADER.size
            if body + length <= self._end:
                self._inbox.append(Frame(kind, seq, self._ahead[body : body + length]))
                self._start = body + length
            elif _HEADER.size + length > len(self._ahead):
                large = bytearray(length)
                self._filled = self._end - body
                large[: self._filled] = memoryview(self._ahead)[body : self._end]
                self._large = (seq, kind, large)
                self._start = self._end = 0
                return
            else:
                break
        rest = self._end - self._start
        self._ahead[:rest] = self._ahead[self._start : self._end]
        self._start, self._end = 0, rest

    def close(self) -> None:
        """Close this end; the other one reads the end of the connection."""
        self.closed = True
        self._socket.close()


def _widen(end: socket.socket) -> None:
    """As large a send buffer as the kernel gives, so that a step's frames never wait for the reader."""
    try:
        end.setsockopt(socket.SOL_SOCKET, _SO_SNDBUFFORCE, _SEND_BUFFER)
    except OSError:  # without CAP_NET_ADMIN: up to net.core.wmem_max
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
