"""How much memory the KV cache may take. Reads the operating system and CUDA; allocates nothing."""

from __future__ import annotations

from pathlib import Path

import torch

from .options import EngineOptions

_CUDA_SPARE = 1 << 30
"""Left for activations and the allocator's own losses on a CUDA device."""
_UNKNOWN = 4 << 30
"""Assumed free where the operating system does not say."""


def kv_cache_budget(options: EngineOptions, device: torch.device) -> int:
    """Bytes for the KV cache, with the weights already loaded."""
    if options.kv_cache_memory_bytes is not None:
        return options.kv_cache_memory_bytes
    if device.type == "cuda":
        free, total = torch.cuda.mem_get_info(device)
        return max(0, int(options.gpu_memory_utilization * total) - (total - free) - min(_CUDA_SPARE, total // 20))
    return free_memory() // 2


def free_memory() -> int:
    """Bytes that a process can still take here: of the machine, and of the control group when that is less."""
    free = _field(Path("/proc/meminfo"), "MemAvailable:")
    limits = [_UNKNOWN if free is None else free * 1024]
    for limit, usage in (
        ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
        ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
    ):
        most, used = _number(Path(limit)), _number(Path(usage))
        if most is not None and used is not None:
            limits.append(max(0, most - used))
    return min(limits)


def _field(path: Path, name: str) -> int | None:
    try:
        line = next(line for line in path.read_text().splitlines() if line.startswith(name))
        return int(line.split()[1])
    except (OSError, StopIteration, ValueError):
        return None


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None
