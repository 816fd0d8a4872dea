"""The portable form: values that any language reads, as msgpack with extensions for arrays of numbers, and for what is no data."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import msgspec
from msgspec.msgpack import Ext

from ..errors import SerializationError
from .names import type_name
from .pickler import is_reference

ARRAY_EXTENSION = 48
"""Code of the msgpack extension of an array; its data is a msgpack map {dtype, shape, data}. ``data``: the numbers, or the place of the
buffer beside the head in which they are. A numpy scalar has the shape []."""
GIVEN_EXTENSION = 49
"""Among arguments: the value of a reference that travels beside them; its data is its place there, big-endian."""
REF_EXTENSION = 50
"""A reference to an object; its data is the id."""
ACTOR_EXTENSION = 51
"""An actor's handle; its data is an ActorCard as msgpack."""
LATE_EXTENSION = 52
"""Among a constructor's arguments: the value of a reference, which each life asks for; its data is the id."""

SMALL_ARRAY = 512
"""Bytes of an array that is part of the head."""

DTYPES = {
    "|b1": "?", "|i1": "b", "|u1": "B", "<i2": "h", "<u2": "H", "<i4": "i", "<u4": "I", "<i8": "q", "<u8": "Q",
    "<f2": "e", "<f4": "f", "<f8": "d",
}  # fmt: skip
"""numpy's names of the dtypes that travel, all little-endian, and the letters of `struct` for them."""

_SCALARS = frozenset((type(None), bool, int, float, str, bytes))
_DEPTH = 200


class _ArrayForm(msgspec.Struct):
    dtype: str
    shape: list[int]
    data: memoryview | int


@dataclass(frozen=True, eq=False)
class PortableArray:
    """An array where there is no numpy: ``data`` are the numbers in C order, one dimension, read-only, no copy."""

    dtype: str
    shape: tuple[int, ...]
    data: memoryview


class _Refused(Exception):
    """Steps are added from the inside out, so that what can travel pays nothing for them."""

    def __init__(self, kind: str, why: str) -> None:
        super().__init__(why)
        self.kind = kind
        self.steps: list[str] = []


RefHook = Callable[[Any], tuple[Any, ...]]
"""See core/pickler.py."""
Load = Callable[[tuple[Any, ...]], Any]
"""Makes of ``("ref", id)``, ``("actor", id, card)``, ``("given", place)`` and ``("late", id)`` what they stand for."""


def encode_portable(
    value: Any, name: str = "value", ref_hook: RefHook | None = None, buffers: list[memoryview] | None = None
) -> bytes:
    """msgpack of a value; raises SerializationError with the path and type of what is not portable.

    ``ref_hook`` says what references travel as; without one they are refused. ``buffers`` takes the bytes of arrays that are not small;
    without it they are part of what is returned.
    """
    writer = _Writer(ref_hook, buffers)
    try:
        plain = writer.plain(value, 0, False)
        try:
            return msgspec.msgpack.encode(plain)
        except (OverflowError, UnicodeEncodeError):
            _Writer(ref_hook, None).plain(value, 0, True)
            raise
    except _Refused as refused:
        path = name + "".join(reversed(refused.steps))
        message = f"cannot send `{path}` to a caller that is no Python: {refused}"
        raise SerializationError(message, path=path, type_name=refused.kind) from None


def decode_portable(head: bytes | memoryview, buffers: Sequence[memoryview] = (), load: Load | None = None) -> Any:
    """The value; arrays are numpy's (read-only, no copy) where it can be imported, else PortableArray."""
    before = getattr(_reading, "now", None)
    _reading.now = buffers, load
    try:
        return _decoder.decode(head)
    finally:
        _reading.now = before


class _Writer:
    def __init__(self, ref_hook: RefHook | None, buffers: list[memoryview] | None) -> None:
        self._ref_hook = ref_hook
        self._buffers = buffers

    def plain(self, value: Any, depth: int, strict: bool) -> Any:
        kind = type(value)
        if kind in _SCALARS:
            if strict:
                _check_scalar(value)
            return value
        if depth > _DEPTH:
            raise _Refused(type_name(kind), f"it is more than {_DEPTH} levels deep, or holds itself; flatten it")
        if kind is list:
            return self._list(value, depth, strict)
        if kind is dict:
            return self._dict(value, depth, strict)
        array = _array_form(value, kind)
        if array is not None:
            return self._array(array)
        if self._ref_hook is not None and is_reference(kind):
            tag, reference, *card = self._ref_hook(value)
            return Ext(ACTOR_EXTENSION, card[0]) if tag == "actor" else Ext(REF_EXTENSION, reference.encode())
        raise _Refused(type_name(kind), f"expected {_WANTED} but received a {type_name(kind)}; {_advice(value)}")

    def _list(self, value: list[Any], depth: int, strict: bool) -> list[Any]:
        if not strict and _SCALARS.issuperset(map(type, value)):
            return value
        items: list[Any] = []
        at = 0
        try:
            for at, item in enumerate(value):  # noqa: B007 the handler reads it
                items.append(self.plain(item, depth + 1, strict))
        except _Refused as refused:
            refused.steps.append(f"[{at}]")
            raise
        return items

    def _dict(self, value: dict[Any, Any], depth: int, strict: bool) -> dict[str, Any]:
        items: dict[str, Any] = {}
        for key, item in value.items():
            if type(key) is not str:
                raise _Refused(type_name(type(key)), f"its key {key!r} is a {type_name(type(key))}; make its keys str")
            try:
                if strict:
                    _check_scalar(key)
                items[key] = self.plain(item, depth + 1, strict)
            except _Refused as refused:
                refused.steps.append(f".{key}" if key.isidentifier() else f"[{key!r}]")
                raise
        return items

    def _array(self, form: _ArrayForm) -> Ext:
        if self._buffers is not None and isinstance(form.data, memoryview) and form.data.nbytes > SMALL_ARRAY:
            self._buffers.append(form.data)
            form.data = len(self._buffers) - 1
        return Ext(ARRAY_EXTENSION, msgspec.msgpack.encode(form))


_WANTED = "None, bool, int, float, str, bytes, a list, a dict or a numpy array of numbers"


def is_plain_array(value: Any) -> bool:
    """Whether it is an array that the portable form gives back as it was: of numbers, in C order, with at least one dimension."""
    numpy = sys.modules.get("numpy")
    if numpy is None or type(value) is not numpy.ndarray:
        return False
    return value.ndim > 0 and value.flags.c_contiguous and value.dtype.str in DTYPES and value.dtype.metadata is None


def _check_scalar(value: Any) -> None:
    if type(value) is int and not -(2**63) <= value < 2**64:
        raise _Refused("int", "the int has more than 64 bits; send it as str")
    if type(value) is str and not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise _Refused("str", "the str has half a surrogate pair and is no Unicode; send it as bytes") from None


def _array_form(value: Any, kind: type) -> _ArrayForm | None:
    if kind is PortableArray:
        return _ArrayForm(value.dtype, list(value.shape), value.data.cast("B"))
    numpy = sys.modules.get("numpy")
    if numpy is None or not (kind is numpy.ndarray or issubclass(kind, numpy.generic)):
        return None
    # Both keep the shape () of a scalar, which ascontiguousarray would make (1,).
    array = numpy.asarray(value, order="C")
    if array.dtype.byteorder == ">" or (array.dtype.byteorder == "=" and sys.byteorder == "big"):
        array = array.astype(array.dtype.newbyteorder("<"))
    if array.dtype.str not in DTYPES:
        wanted = "bool, int, uint or float of at most 64 bits"
        raise _Refused(
            f"numpy {array.dtype}",
            f"expected an array of {wanted} but received one of {array.dtype}; convert it with astype",
        )
    return _ArrayForm(
        array.dtype.str, list(array.shape), memoryview(array.reshape(-1)).cast("B") if array.size else memoryview(b"")
    )


def _advice(value: Any) -> str:
    if isinstance(value, (tuple, set, frozenset)):
        return "make it a list"
    if isinstance(value, (bytearray, memoryview)):
        return "make it bytes"
    return "make it one of these"


def _from_extension(code: int, data: memoryview) -> Any:
    buffers, load = _reading.now
    if code == ARRAY_EXTENSION:
        return _array(data, buffers)
    if load is not None and code == REF_EXTENSION:
        return load(("ref", str(data, "utf-8")))
    if load is not None and code == ACTOR_EXTENSION:
        return load(("actor", "", bytes(data)))
    if load is not None and code == GIVEN_EXTENSION:
        return load(("given", int.from_bytes(data, "big")))
    if load is not None and code == LATE_EXTENSION:
        return load(("late", str(data, "utf-8")))
    known = f"{ARRAY_EXTENSION}" if load is None else f"{ARRAY_EXTENSION} to {LATE_EXTENSION}"
    raise ValueError(f"expected the msgpack extension {known} but received {code}; send plain values")


def _array(data: memoryview, buffers: Sequence[memoryview]) -> Any:
    form = _arrays.decode(data)
    if form.dtype not in DTYPES:
        raise ValueError(f"expected one of {', '.join(DTYPES)} for `dtype` but received {form.dtype!r}")
    if isinstance(form.data, int):
        if not 0 <= form.data < len(buffers):
            raise ValueError(f"expected a buffer of {len(buffers)} for `data` but received {form.data}")
        numbers = buffers[form.data].toreadonly()
    else:  # small; and what it lies in may go with the head
        numbers = memoryview(bytes(form.data))
    try:
        import numpy
    except ImportError:
        return PortableArray(form.dtype, tuple(form.shape), numbers.cast(cast(Any, DTYPES[form.dtype])))
    array = numpy.frombuffer(numbers, form.dtype) if len(numbers) else numpy.empty(0, form.dtype)
    array = array.reshape(form.shape)
    array.flags.writeable = False
    return array if form.shape else array[()]


_reading = threading.local()
"""What extensions of the value that a thread reads need: a decoder for each would cost more than most values."""
_arrays = msgspec.msgpack.Decoder(_ArrayForm)
_decoder = msgspec.msgpack.Decoder(ext_hook=_from_extension)
