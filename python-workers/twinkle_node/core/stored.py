"""What a slot has: a value as it travelled, or an error of this process's own. And how arguments and results are made ready to travel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from ..errors import TwinkleError
from .failure import PackedError, again, pack_error, unpack_error
from .protocol import Value
from .value import Packed
from .wire import Buffer

_error_decoder = msgspec.msgpack.Decoder(PackedError)


class Stored:
    """A value: in ``body`` when ``value.at`` is empty, else with the node. Or ``error``, which was raised here."""

    __slots__ = ("body", "error", "keep", "value")

    def __init__(
        self,
        value: Value | None,
        body: bytes | memoryview = b"",
        keep: Sequence[Any] = (),
        error: BaseException | None = None,
    ) -> None:
        self.value = value
        self.body = body
        self.keep = keep
        """References inside it, which live as long as it."""
        self.error = None if error is None else error.with_traceback(None)
        """Without its frames: those of whoever waited have the reference whose slot has this, and it would live for ever."""

    @property
    def failed(self) -> bool:
        return self.error is not None or (self.value is not None and self.value.f == "error")

    def exception(self) -> BaseException:
        """What ``get`` raises. Only for one that has failed."""
        if self.error is not None:
            return again(self.error)
        return unpack_error(_error_decoder.decode(self.body))

    def travelling(self) -> tuple[Value, list[Buffer]]:
        """As it travels: its value, and the bytes beside it."""
        if self.value is not None:
            return self.value, [] if self.value.at else [self.body]
        error = self.error or TwinkleError("INTERNAL", "a slot without a value")
        return error_value(error, "this call")


class Outgoing(NamedTuple):
    """A value that is ready to travel. ``keep`` lives until it has arrived."""

    value: Value
    parts: Sequence[Buffer]
    keep: list[Any]


def error_value(error: BaseException, where: str) -> tuple[Value, list[Buffer]]:
    """An exception as a value. ``where``: what raised it, for people."""
    encoded = msgspec.msgpack.encode(pack_error(error, where=where))
    return Value(f="error", s=[len(encoded)], at="", refs=[]), [encoded]


def sizes_of(packed: Packed) -> list[int]:
    """Bytes of the head and of each buffer."""
    return [len(packed.head), *(buffer.nbytes for buffer in packed.buffers)]


def cut(sizes: Sequence[int], body: bytes | memoryview, at: int = 0) -> list[memoryview]:
    """The parts of a value whose bytes follow each other from ``at``."""
    view = memoryview(body)
    parts = []
    for size in sizes:
        parts.append(view[at : at + size])
        at += size
    return parts
