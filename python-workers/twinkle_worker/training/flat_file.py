"""A safetensors file whose data are flat tensors as they lie in memory: named views take no copy of their own on the way to a disk.

The library's ``save`` copies every tensor, twice, before the first byte is written; readers cannot tell the two apart.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

Content = Sequence[bytes | memoryview]
"""What a file holds, in pieces."""

_DTYPES = {torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16"}


def flat_file(*flats: tuple[Tensor, Mapping[str, Tensor]]) -> Content:
    """A file of several flat tensors, each [size], contiguous and on the CPU, with the views by name that fill it, in their order.

    The content shares the memory of the flats. Raises ValueError for views that leave gaps.
    """
    entries: dict[str, object] = {"__metadata__": {"format": "pt"}}
    at = 0
    for flat, views in flats:
        begin = at - flat.data_ptr()
        for name, view in views.items():
            size = view.numel() * view.element_size()
            if view.data_ptr() + begin != at or not view.is_contiguous():
                raise ValueError(f"{name} does not follow the tensor before it")
            entries[name] = {
                "dtype": _DTYPES[view.dtype],
                "shape": list(view.shape),
                "data_offsets": [at, at + size],
            }
            at += size
        if at - begin != flat.data_ptr() + flat.numel() * flat.element_size():
            raise ValueError("the views end before their flat tensor does")
    header = json.dumps(entries, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)  # data are aligned, as the library writes them
    return (len(header).to_bytes(8, "little"), header, *(_bytes(flat) for flat, _ in flats))


def write_file(path: Path, content: Content) -> None:
    """Write a file that does not exist yet. Raises OSError."""
    with open(path, "xb", buffering=0) as file:
        for piece in content:
            left = memoryview(piece)
            while left:
                left = left[file.write(left) :]


def _bytes(flat: Tensor) -> memoryview:
    return flat.view(torch.uint8).numpy().data
