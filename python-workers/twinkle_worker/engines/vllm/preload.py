"""Imports what every process of a gang needs, in a template that forks them: no device is touched and no thread started."""

from __future__ import annotations

from .environment import is_cpu_build, prepare_environment


def preload() -> None:
    """Import vLLM, its engine, its routes and, on CPUs, its worker."""
    prepare_environment()
    import vllm.entrypoints.openai.api_server
    import vllm.v1.engine.async_llm
    import vllm.v1.worker.worker_base

    from . import core, generation, inline  # noqa: F401
    from .app import preload_routes

    preload_routes()
    if is_cpu_build():
        # The largest part of what a load imports. Elsewhere it is the platform that names the worker, and asking it may touch a device.
        import vllm.v1.worker.cpu_worker  # noqa: F401

        from . import rank_weights  # noqa: F401
