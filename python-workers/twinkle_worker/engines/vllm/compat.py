"""What differs between the versions of vLLM that we run on (0.26 on GPUs, 0.32 on CPUs): one function a difference, and nothing else."""

from __future__ import annotations

from collections.abc import Iterable
from copy import copy
from importlib.util import find_spec
from types import SimpleNamespace
from typing import Any

from ..base import RequestError


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


def load_chat_template(given: str | None) -> str | None:
    """vLLM's own way from ``--chat-template`` to a text: a file, one of those that come with vLLM, or the template itself.

    Raises OSError and ``client_errors``.
    """
    try:
        from vllm.renderers.chat_utils import load_chat_template as load
    except ImportError:
        from vllm.entrypoints.chat_utils import load_chat_template as load  # pyright: ignore[reportMissingImports] -- 0.26
    return load(given)


def default_template_kwargs(arguments: Any) -> dict[str, Any]:
    """What requests give chat templates unless they say otherwise; newer versions add flags of their own (``--cohere-format``)."""
    try:
        from vllm.entrypoints.launchers.cli_args import resolve_default_chat_template_kwargs
    except ImportError:
        return dict(arguments.default_chat_template_kwargs or {})
    return resolve_default_chat_template_kwargs(arguments)


def reloads_with_lora() -> bool:
    """Whether weights can be replaced in a model whose layers are wrapped for adapters: older versions do not find them in there."""
    return find_spec("vllm.model_executor.model_loader.reload.inplace") is not None


def tell_replaced_adapters_apart() -> None:
    """Have prefixes that were cached with an adapter's weights serve no others. To be called before an engine is made; any number of times.

    Older versions know an adapter by its name alone, newer ones by its folder, too.
    """
    from vllm.v1.core import kv_cache_utils

    original: Any = kv_cache_utils._gen_lora_extra_hash_keys
    probe = SimpleNamespace(lora_request=SimpleNamespace(lora_name="name", lora_path="folder"))
    if "folder" in str(original(probe)):
        return

    def keys(request: Any) -> list[Any]:
        adapter = request.lora_request
        return [*original(request), *([] if adapter is None else [adapter.lora_path])]

    kv_cache_utils._gen_lora_extra_hash_keys = keys


def weight_files(vllm_config: Any, model: str) -> list[str]:
    """The safetensors files of a checkpoint (folder, or hub id that was loaded), those that vLLM itself would read. Raises RequestError.

    Older versions answer with one thing less behind them.
    """
    try:
        files = _loader(vllm_config)._prepare_weights(model, None, None, False, None)[1]
    except Exception as error:  # whatever vLLM and the hub's client raise for what is not there
        raise RequestError("INVALID_REQUEST", f"{model} has no weights: {error}", "path") from error
    others = [path for path in files if not path.endswith(".safetensors")]
    if others:
        raise RequestError("INVALID_REQUEST", f"expected safetensors in {model} but found {others[0]}", "path")
    return sorted(files)


def folder_weights(vllm_config: Any, model: Any, folder: str) -> Iterable[tuple[str, Any]]:
    """(name, tensor) of a checkpoint, as vLLM's loader reads it for ``model``; newer versions also name a store of weights by itself."""
    config = copy(vllm_config.model_config)
    config.model, config.revision = folder, None
    if hasattr(config, "model_weights"):
        config.model_weights = ""
    return _loader(vllm_config).get_all_weights(config, model)


def _loader(vllm_config: Any) -> Any:
    from vllm.config import LoadConfig
    from vllm.model_executor.model_loader.default_loader import DefaultModelLoader

    download_dir = vllm_config.load_config.download_dir
    return DefaultModelLoader(LoadConfig(load_format="auto", download_dir=download_dir, use_tqdm_on_load=False))
