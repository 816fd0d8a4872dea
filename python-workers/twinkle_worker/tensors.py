"""Shared segments of a rank: descriptors that Node passes, mapped once; tensors are views of them."""

from __future__ import annotations

import json
import mmap
import os
import select
import socket
import struct
from math import prod

from .engines.base import RequestError
from .protocol import TensorHandle, TensorSummary

_FORMATS = {
    "float16": ("e", 2),
    "float32": ("f", 4),
    "float64": ("d", 8),
    "bfloat16": ("H", 2),
    "int8": ("b", 1),
    "uint8": ("B", 1),
    "bool": ("?", 1),
    "int16": ("h", 2),
    "uint16": ("H", 2),
    "int32": ("i", 4),
    "uint32": ("I", 4),
    "int64": ("q", 8),
    "uint64": ("Q", 8),
}


class Segments:
    """Segments by name. ``pass_fd`` is the socket on which Node sends descriptors, each with a JSON line ``{"segment": name}``."""

    def __init__(self, pass_fd: int) -> None:
        self._socket = socket.socket(fileno=pass_fd)
        self._arrived: dict[str, int] = {}
        self._mapped: dict[str, mmap.mmap] = {}

    def attach(self, name: str, size: int, timeout_s: float = 10.0) -> None:
        """Map segment ``name`` of ``size`` bytes. Its descriptor was sent before the call, on another socket: wait for it."""
        if name in self._mapped:
            return
        while name not in self._arrived:
            ready, _, _ = select.select([self._socket], [], [], timeout_s)
            if not ready:
                raise RequestError("PROTOCOL", f"no descriptor for segment {name!r} arrived within {timeout_s} s")
            data, fds, _, _ = socket.recv_fds(self._socket, 4096, 16)
            if not data:
                raise RequestError("PROTOCOL", f"the descriptor socket is closed; segment {name!r} cannot arrive")
            for line, fd in zip(data.decode().splitlines(), fds, strict=True):
                self._arrived[json.loads(line)["segment"]] = fd
        fd = self._arrived.pop(name)
        try:
            # Populated: the pages exist already, and a fault for each at first sight would be paid by the first tensors.
            self._mapped[name] = mmap.mmap(fd, size, mmap.MAP_SHARED | mmap.MAP_POPULATE)
        finally:
            os.close(fd)

    def detach(self, name: str) -> None:
        """Unmap; unknown names are fine. Raises BufferError while a tensor still looks at the pages."""
        mapped = self._mapped.pop(name, None)
        if mapped is not None:
            mapped.close()

    def view(self, handle: TensorHandle) -> memoryview:
        """The bytes of a tensor, without a copy."""
        mapped = self._mapped.get(handle.segment)
        if mapped is None:
            raise RequestError("SEGMENT_CLOSED", f"segment {handle.segment!r} is not attached to this rank", "segment")
        if handle.dtype not in _FORMATS:
            raise RequestError(
                "INVALID_REQUEST", f"unknown dtype {handle.dtype!r}; one of {', '.join(_FORMATS)}", "dtype"
            )
        if any(extent < 0 for extent in handle.shape) or handle.offset < 0:
            raise RequestError("INVALID_REQUEST", "offset and extents must not be negative", "shape")
        end = handle.offset + prod(handle.shape) * _FORMATS[handle.dtype][1]
        if end > len(mapped):
            raise RequestError(
                "INVALID_REQUEST", f"tensor ends at byte {end}, segment {handle.segment!r} has {len(mapped)}", "shape"
            )
        return memoryview(mapped)[handle.offset : end]

    def summary(self, handle: TensorHandle) -> TensorSummary:
        """First and last element as seen from this process."""
        view = self.view(handle)
        code, width = _FORMATS[handle.dtype]

        def element(at: int) -> float:
            (value,) = struct.unpack_from(f"={code}", view, at)
            if handle.dtype == "bfloat16":
                (value,) = struct.unpack("=f", struct.pack("=I", value << 16))
            return float(value)

        empty = len(view) == 0
        return TensorSummary(
            bytes=len(view),
            first=0.0 if empty else element(0),
            last=0.0 if empty else element(len(view) - width),
            dtype=handle.dtype,
            shape=handle.shape,
        )

    def close(self) -> None:
        """Unmap everything and close what arrived unused."""
        for name in list(self._mapped):
            self.detach(name)
        for fd in self._arrived.values():
            os.close(fd)
        self._socket.close()
