"""What is said when a device has too little memory to train: how much was free, how much the base model needs, and what can be done."""

from __future__ import annotations

from pathlib import Path

import torch

from ..engines.hf.model_files import local_folder

WAYS = (
    "an engine that samples on the same device holds what it took at its start: start the server with a lower `--gpu-memory-utilization`, "
    "or have the engine sleep meanwhile (`--sleep-while-training`, engine vllm), or train on devices of its own (`--train-gpus`)"
)


def free_on(device: torch.device) -> str | None:
    """``3.2 of 79.2 GiB were free on cuda:0``; None where nobody knows, as on a CPU."""
    if device.type != "cuda":
        return None
    try:
        free, total = torch.cuda.mem_get_info(device)
    except Exception:
        return f"nothing was free on {device}"  # not even what a process needs to ask
    return f"{_gib(free)} of {_gib(total)} GiB were free on {device}"


def load_shortage(name: str, free: str | None, error: BaseException) -> str:
    """Why the base model ``name`` was not loaded, and the ways out. ``free``: what ``free_on`` said before."""
    size = weights_size(name)
    needs = None if size is None else f"its weights alone need about {_gib(size)} GiB"
    facts = ", and ".join(fact for fact in (free, needs) if fact is not None) or str(error)
    return f"no memory for the base model {name}: {facts}; {WAYS}"


def weights_size(name: str) -> int | None:
    """Bytes of the weights of a model's folder, as they are stored; None for one that is not here as a folder."""
    folder = local_folder(name)
    files: list[Path] = [] if folder is None else list(folder.glob("*.safetensors"))
    return sum(file.stat().st_size for file in files) if files else None


def _gib(size: int) -> str:
    return f"{size / (1 << 30):.1f}"
