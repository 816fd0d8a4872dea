"""Values as bytes between processes of one gang: protocol-5 pickles whose large arrays and tensors travel beside the pickle, uncopied.

Only for links whose other end the same Node process started: a pickle is code.
"""

from __future__ import annotations

import copyreg
import io
import pickle
import struct
from collections.abc import Callable
from typing import Any

import torch

from .link import Buffer

_OUT_OF_BAND = 1 << 16
"""Bytes from which a buffer goes beside the pickle: below, a copy is cheaper than another piece."""

_ALIGN = 64
_PADDING = bytes(_ALIGN)
_COUNT = struct.Struct("<Q")
_NO_BUFFERS = _COUNT.pack(0)


def encode(value: Any) -> list[Buffer]:
    """Pieces of a body that ``decode`` reads. Raises what pickle raises for values that have no pickle."""
    beside: list[memoryview] = []

    def keep_in_band(buffer: pickle.PickleBuffer) -> bool:
        try:
            raw = buffer.raw()
        except BufferError:  # not contiguous
            return True
        if raw.nbytes < _OUT_OF_BAND:
            return True
        beside.append(raw)
        return False

    text = io.BytesIO()
    pickler = pickle.Pickler(text, pickle.HIGHEST_PROTOCOL, buffer_callback=keep_in_band)
    pickler.dispatch_table = _REDUCERS
    pickler.dump(value)
    if not beside:
        return [_NO_BUFFERS, text.getbuffer()]
    table = struct.pack(f"<{len(beside) + 1}Q", len(beside), *map(len, beside))
    pieces: list[Buffer] = [table, _PADDING[: -len(table) % _ALIGN]]
    for raw in beside:
        pieces += [raw, _PADDING[: -len(raw) % _ALIGN]]
    return [*pieces, text.getbuffer()]


def decode(body: Buffer) -> Any:
    """The value. Its large arrays are views into ``body`` and keep it alive."""
    view = memoryview(body)
    (count,) = _COUNT.unpack_from(view)
    if count == 0:
        return pickle.loads(view[_COUNT.size :])
    sizes = struct.unpack_from(f"<{count}Q", view, _COUNT.size)
    at = _aligned(_COUNT.size * (count + 1))
    buffers: list[memoryview] = []
    for size in sizes:
        buffers.append(view[at : at + size])
        at += _aligned(size)
    return pickle.loads(view[at:], buffers=buffers)


def _aligned(size: int) -> int:
    return size + -size % _ALIGN


def _reduce_tensor(tensor: torch.Tensor) -> Any:
    """Plain CPU tensors by their bytes: torch's own reduction copies them three times. All others as torch does."""
    plain = tensor.device.type == "cpu" and tensor.layout == torch.strided and not tensor.requires_grad
    if not plain or tensor.is_quantized or tensor.is_conj() or tensor.is_neg():
        return tensor.__reduce_ex__(pickle.HIGHEST_PROTOCOL)
    if tensor.numel() == 0:
        return _rebuild_empty, (tensor.dtype, tuple(tensor.shape))
    # numpy has no bfloat16 and no float8, but every tensor has bytes
    raw = tensor.contiguous().view(-1).view(torch.uint8).numpy()
    return _rebuild_tensor, (pickle.PickleBuffer(raw.data), tensor.dtype, tuple(tensor.shape))


def _rebuild_empty(dtype: torch.dtype, shape: tuple[int, ...]) -> torch.Tensor:
    return torch.empty(shape, dtype=dtype)


def _rebuild_tensor(raw: Any, dtype: torch.dtype, shape: tuple[int, ...]) -> torch.Tensor:
    own = raw if isinstance(raw, memoryview) and not raw.readonly else bytearray(raw)
    return torch.frombuffer(own, dtype=dtype).view(shape)


_REDUCERS: dict[type, Callable[[Any], Any]] = {**copyreg.dispatch_table, torch.Tensor: _reduce_tensor}
