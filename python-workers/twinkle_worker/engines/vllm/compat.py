"""What differs between the versions of vLLM that we run on (0.26 on GPUs, 0.32 on CPUs): one function a difference, and nothing else."""

from __future__ import annotations

from typing import Any


def make_serve_parser() -> Any:
    """The argument parser of `vllm serve`."""
    try:
        from vllm.entrypoints.launchers.cli_args import make_arg_parser
    except ImportError:
        from vllm.entrypoints.openai.cli_args import make_arg_parser  # pyright: ignore[reportMissingImports] -- 0.26
    from vllm.utils.argparse_utils import FlexibleArgumentParser

    return make_arg_parser(FlexibleArgumentParser(prog="vllm serve"))


def process_outputs(processor: Any, outputs: Any, stats: Any) -> Any:
    """``OutputProcessor.process_outputs`` for everything in ``outputs``; newer versions label tokens with the version of the weights."""
    version = getattr(outputs, "weight_version", None)
    labels = {} if version is None else {"weight_version": version}
    return processor.process_outputs(outputs.outputs, outputs.timestamp, stats, **labels)


def finish_pause(core: Any, clear_cache: bool) -> None:
    """What a core does once nothing runs any more: newer versions wait for the device, too."""
    finish = getattr(core, "_finish_pause", None)
    if finish is not None:
        finish(clear_cache)
    elif clear_cache:
        core.reset_prefix_cache(reset_running_requests=True, reset_connector=True)
        core.reset_mm_cache()
        core.reset_encoder_cache()


def client_errors() -> tuple[type[Exception], ...]:
    """What vLLM raises for a request that is at fault: ValueErrors in older versions, a family of its own in newer ones."""
    try:
        from vllm.exceptions import VLLMClientError
    except ImportError:
        return (ValueError, TypeError)
    return (VLLMClientError, ValueError, TypeError)


def serve_functions() -> tuple[Any, Any, Any]:
    """vLLM's own ``build_app``, ``init_app_state`` and ``validate_api_server_args``."""
    try:
        from vllm.entrypoints.launchers.api_server.app_state import init_app_state
        from vllm.entrypoints.launchers.app import build_app
        from vllm.entrypoints.launchers.launcher import validate_api_server_args
    except ImportError:
        from vllm.entrypoints.openai.api_server import build_app, init_app_state, validate_api_server_args
    return build_app, init_app_state, validate_api_server_args
