"""Engines by name. Importing this costs nothing: an engine's own imports happen when it is created or preloaded."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..protocol import LaunchSpec
    from .base import Engine

ENGINES = ("mock", "training", "transformers", "vllm")


def create_engine(name: str, launch: LaunchSpec) -> Engine:
    """A fresh engine of that name for this rank. Raises ValueError for a name outside ENGINES."""
    if name == "mock":
        from .mock import MockEngine

        return MockEngine(launch)
    if name == "transformers":
        from .hf import create_engine as create_hf_engine

        return create_hf_engine()
    if name == "training":
        from ..training.engine import TrainingEngine

        return TrainingEngine(launch)
    if name == "vllm":
        from .vllm import create_engine as create_vllm_engine

        return create_vllm_engine(launch)
    raise ValueError(f"unknown engine {name!r}; one of {', '.join(ENGINES)}")


def preload(name: str, models: Sequence[str]) -> None:
    """Import what ``name`` will need to load any of ``models``, in a template process: no device touched, no thread started."""
    if name == "transformers":
        from .hf.preload import preload as preload_hf

        preload_hf(models)
    elif name == "vllm":
        from .vllm.preload import preload as preload_vllm

        preload_vllm()
    elif name == "actors":
        from twinkle_node.core.preload import preload as preload_actors

        preload_actors()
