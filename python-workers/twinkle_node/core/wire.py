"""Frames on a stream socket: ``u32 bytes of the rest | u32 bytes of the head | head (msgpack) | body``, little endian. No sockets here."""

from __future__ import annotations

import struct
from collections.abc import Iterable

import msgspec

from ..errors import TwinkleError

LENGTHS = struct.Struct("<II")
LARGEST = 1 << 30
"""Bytes of a frame: more than anything that travels in one (large values lie in slabs)."""

_encode = msgspec.msgpack.Encoder().encode

Buffer = bytes | bytearray | memoryview


class BrokenFrame(Exception):
    """What was received is no frame: the connection is of no use any more."""


def frame(head: msgspec.Struct, body: Iterable[Buffer] = ()) -> bytes:
    """One frame, ready to be sent. Raises TwinkleError ``BODY_TOO_LARGE``."""
    encoded = _encode(head)
    parts = list(body)
    size = len(encoded) + 4
    for part in parts:
        size += part.nbytes if isinstance(part, memoryview) else len(part)
    if size > LARGEST:  # the other side would end the connection
        raise TwinkleError(
            "BODY_TOO_LARGE", f"expected at most {LARGEST} bytes in one message but received {size}; use put()"
        )
    return b"".join((LENGTHS.pack(size, len(encoded)), encoded, *parts))


class FrameReader:
    """Cuts a stream of bytes into frames."""

    def __init__(self) -> None:
        self._rest = b""
        self._chunks: list[bytes] = []
        self._missing = 0

    def feed(self, data: bytes) -> list[tuple[memoryview, memoryview]]:
        """(head, body) of every frame that is whole now: views of what was received, which they keep alive. Raises BrokenFrame."""
        if self._missing > len(data):  # in the middle of a long one
            self._chunks.append(data)
            self._missing -= len(data)
            return []
        if self._chunks or self._rest:
            data = b"".join((self._rest, *self._chunks, data))
            self._chunks.clear()
        frames = []
        view = memoryview(data)
        at, end = 0, len(data)
        while end - at >= 8:
            size, head = LENGTHS.unpack_from(data, at)
            if size > LARGEST or head + 4 > size:
                raise BrokenFrame(f"a frame of {size} bytes with a head of {head}")
            stop = at + 4 + size
            if stop > end:
                break
            frames.append((view[at + 8 : at + 8 + head], view[at + 8 + head : stop]))
            at = stop
        self._rest = data[at:]
        self._missing = 0
        if len(self._rest) >= 8:
            self._missing = 4 + LENGTHS.unpack_from(self._rest)[0] - len(self._rest)
        return frames
