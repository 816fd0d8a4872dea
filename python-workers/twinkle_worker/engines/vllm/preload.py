"""Imports what every process of a gang needs, in a template that forks them: no device is touched and no thread started."""

from __future__ import annotations

from .environment import prepare_environment


def preload(model: str) -> None:
    """Import vLLM, its engine, its routes and the model's own code."""
    prepare_environment(model)
    import vllm.entrypoints.openai.api_server
    import vllm.v1.engine.async_llm
    import vllm.v1.worker.worker_base  # noqa: F401

    from . import core, generation, inline  # noqa: F401
    from .app import preload_routes

    preload_routes()
