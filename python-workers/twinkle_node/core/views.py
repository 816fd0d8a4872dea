"""Read-only views of mapped memory that say when they are no longer used."""

from __future__ import annotations

import ctypes
import mmap
from collections.abc import Callable


class _PyBuffer(ctypes.Structure):
    """Py_buffer of CPython's stable ABI."""

    _fields_ = (
        ("buf", ctypes.c_void_p),
        ("obj", ctypes.py_object),
        ("len", ctypes.c_ssize_t),
        ("itemsize", ctypes.c_ssize_t),
        ("readonly", ctypes.c_int),
        ("ndim", ctypes.c_int),
        ("format", ctypes.c_char_p),
        ("shape", ctypes.c_void_p),
        ("strides", ctypes.c_void_p),
        ("suboffsets", ctypes.c_void_p),
        ("internal", ctypes.c_void_p),
    )


class _Pinned(ctypes.c_ubyte * (1 << 46)):
    """The memory from an address on. Every memoryview and array over it keeps it, and its end is theirs.

    It claims to be endless: a ctypes type of each length would take 13 µs to make. Only what is cut from it is ever handed out.
    """

    guard: memoryview
    on_close: Callable[[], object] | None

    def __del__(self) -> None:
        on_close, self.on_close = self.on_close, None
        self.guard.release()
        if on_close is not None:
            on_close()


def pinned_view(mapping: mmap.mmap, offset: int, size: int, on_close: Callable[[], object]) -> memoryview:
    """A read-only view of ``size`` bytes of a mapping, which may be mapped PROT_READ; no copy.

    ``on_close`` is called once, when the last memoryview or array that was made over it has gone; perhaps never when the
    process exits before. It runs in any thread, in the middle of anything: it must take no lock, and only note what is
    to be done. The mapping stays mapped until then: closing it raises BufferError. Raises ValueError outside of the mapping.
    """
    guard = memoryview(mapping)
    if offset < 0 or size < 0 or offset + size > guard.nbytes:
        raise ValueError(f"expected a range within {guard.nbytes} bytes but received {size} bytes at {offset}")
    pinned = _Pinned.from_address(_address(mapping) + offset)
    pinned.guard = guard
    pinned.on_close = on_close
    return memoryview(pinned).cast("B")[:size].toreadonly()


def _address(mapping: mmap.mmap) -> int:
    buffer = _PyBuffer()
    ctypes.pythonapi.PyObject_GetBuffer(ctypes.py_object(mapping), ctypes.byref(buffer), 0)
    address: int = buffer.buf
    ctypes.pythonapi.PyBuffer_Release(ctypes.byref(buffer))
    return address
