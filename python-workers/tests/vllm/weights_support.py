"""Checkpoints for tests of new weights: the demo model with noise, in a folder and in a shared segment."""

from __future__ import annotations

import os
import shutil
from math import prod
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from vllm_support import MODEL


def tensors(folder: str = MODEL) -> dict[str, Any]:
    """All tensors of a checkpoint, by name."""
    return load_file(Path(folder) / "model.safetensors")


def noisy(seed: int, scale: float = 0.3) -> dict[str, Any]:
    """The demo model's tensors, each with noise of ``scale`` of its own deviation."""
    import torch

    dice = torch.Generator().manual_seed(seed)
    return {
        name: (tensor.float() + scale * tensor.float().std() * torch.randn(tensor.shape, generator=dice)).to(
            tensor.dtype
        )
        for name, tensor in tensors().items()
    }


def checkpoint(folder: Path, weights: dict[str, Any], config: bool = True) -> str:
    """A folder as the demo model's, with these weights. Returns its path."""
    folder.mkdir(parents=True)
    for file in Path(MODEL).iterdir():
        if file.suffix == ".json" and (config or file.name != "config.json"):
            shutil.copy(file, folder)
    save_file(weights, folder / "model.safetensors")
    return str(folder)


class SharedTensors:
    """Tensors in one segment, as Node's TensorStore has them."""

    def __init__(self, name: str, weights: dict[str, Any]) -> None:
        self.name = name
        self.size = sum(-(-tensor.nbytes // 64) * 64 for tensor in weights.values())
        self.fd = os.memfd_create(name)
        os.ftruncate(self.fd, self.size)
        self.handles: list[dict[str, Any]] = []
        offset = 0
        for tensor_name, tensor in weights.items():
            shape = list(tensor.shape)
            data = bytes(tensor.contiguous().view(_bytes()).numpy().data) if prod(shape) else b""
            os.pwrite(self.fd, data, offset)
            dtype = str(tensor.dtype).removeprefix("torch.")
            handle = {"segment": name, "offset": offset, "dtype": dtype, "shape": shape}
            self.handles.append({"name": tensor_name, "tensor": handle})
            offset += -(-tensor.nbytes // 64) * 64

    @property
    def triple(self) -> tuple[str, int, int]:
        """Name, descriptor, size."""
        return self.name, self.fd, self.size


def _bytes() -> Any:
    import torch

    return torch.uint8
