"""Adapters of the training service: no request names them, and what others may read (metrics, errors) must not tell their names."""

from __future__ import annotations

from typing import Any

_PREFIX = "tinker://"
"""What their names begin with, as in ``src/serving/adapter-names.ts``."""


def is_hidden(name: str) -> bool:
    """Whether the adapter of that name is one of them."""
    return name.startswith(_PREFIX)


def hide_in_stats(stats: Any) -> None:
    """Take their names out of vLLM's SchedulerStats (None is fine), which become labels of ``vllm:lora_requests_info``.

    Not only for the names' sake: every set of names is another series, and none ever goes.
    """
    if stats is None:
        return
    for counts in (stats.waiting_lora_adapters, stats.running_lora_adapters):
        for name in [name for name in counts if is_hidden(name)]:
            del counts[name]
