"""Python values as what travels: packed into bytes and buffers, and back."""

from __future__ import annotations

import io
import pickle
from collections.abc import Sequence
from typing import Any, Literal

import msgspec

from .culprit import explain
from .pickler import PersistentLoad, RefHook, ValuePickler, loads
from .portable import decode_portable, encode_portable, is_plain_array

Format = Literal["raw", "msgpack", "pickle"]

_SCALARS = frozenset((type(None), bool, int, float, str))
_PLAIN = _SCALARS | {bytes}
_NO_ARGUMENTS = pickle.dumps(((), {}), 5)


class Packed(msgspec.Struct):
    """A value as it travels.

    ``head`` is bytes as they are (raw), a msgpack value, or a pickle stream of protocol 5 whose ``buffers`` lie beside it:
    contiguous, and still the memory of the value itself, so that the value must not change before they are sent. ``refs``:
    ids of the references in it, each once.
    """

    format: Format
    head: bytes
    buffers: list[memoryview] = []
    refs: list[str] = []

    @property
    def size(self) -> int:
        """All bytes: head and buffers."""
        return len(self.head) + sum(buffer.nbytes for buffer in self.buffers)


def pack(value: Any, *, portable: bool = False, ref_hook: RefHook | None = None, name: str = "value") -> Packed:
    """Packs a value; buffers (numpy arrays) are not copied.

    ``portable`` is for callers that are no Python: None, bool, int of 64 bits, float, str, bytes, lists, dicts with str
    keys, numpy arrays and scalars of numbers. ``ref_hook`` says what references travel as; without one they are refused.
    ``name`` is what errors call the value. Raises SerializationError, which says where in the value the culprit is.
    """
    kind = type(value)
    if kind is bytes:
        return Packed("raw", value)
    if kind in _SCALARS:
        try:
            return Packed("msgpack", msgspec.msgpack.encode(value))
        except (OverflowError, UnicodeEncodeError):
            pass  # a long number, or half a surrogate pair
    if portable:
        packed = Packed("msgpack", b"")
        packed.buffers = []
        packed.head = encode_portable(value, name, ref_hook, packed.buffers)
        return packed
    if kind is tuple and _PLAIN.issuperset(map(type, value)):
        return Packed("pickle", pickle.dumps(value, 5))
    if is_plain_array(value):  # others than Python read it, too, and it costs no more
        buffers: list[memoryview] = []
        return Packed("msgpack", encode_portable(value, name, None, buffers), buffers)
    try:
        return _pickle(value, ref_hook)
    except MemoryError:
        raise
    except Exception as error:
        raise explain(((name, value),), error, ref_hook is not None) from error


def pack_call(args: tuple[Any, ...], kwargs: dict[str, Any], ref_hook: RefHook | None = None) -> Packed:
    """Packs arguments as the value ``(args, kwargs)``; errors call them ``arg[0]`` and ``arg['name']``."""
    if not args and not kwargs:
        return Packed("pickle", _NO_ARGUMENTS)
    if _PLAIN.issuperset(map(type, args)) and (not kwargs or _PLAIN.issuperset(map(type, kwargs.values()))):
        return Packed("pickle", pickle.dumps((args, kwargs), 5))
    try:
        return _pickle((args, kwargs), ref_hook)
    except MemoryError:
        raise
    except Exception as error:
        named = [(f"arg[{at}]", value) for at, value in enumerate(args)]
        named += [(f"arg[{key!r}]", value) for key, value in kwargs.items()]
        raise explain(named, error, ref_hook is not None) from error


def unpack(
    format: str,
    head: bytes | memoryview,
    buffers: Sequence[memoryview] = (),
    persistent_load: PersistentLoad | None = None,
) -> Any:
    """The value of what :func:`pack` made.

    numpy arrays lie in ``buffers`` (no copy), and cannot be written to where the buffer is read-only. raw is copied; the
    arrays of a portable value are read-only and lie in ``head``. ``persistent_load`` makes objects of references.
    """
    if format == "pickle":
        return loads(head, buffers, persistent_load)
    if format == "msgpack":
        return decode_portable(head, buffers, persistent_load)
    if format == "raw":
        return bytes(head)
    raise ValueError(
        f"expected raw, msgpack or pickle for `format` but received {format!r}; is the sender of another version?"
    )


def _pickle(value: Any, ref_hook: RefHook | None) -> Packed:
    file = io.BytesIO()
    buffers: list[pickle.PickleBuffer] = []
    pickler = ValuePickler(file, buffers.append, ref_hook)
    pickler.dump(value)
    packed = Packed("pickle", file.getvalue())
    if buffers:
        packed.buffers = [buffer.raw() for buffer in buffers]
    if pickler.refs:
        packed.refs = list(dict.fromkeys(pickler.refs))
    return packed
