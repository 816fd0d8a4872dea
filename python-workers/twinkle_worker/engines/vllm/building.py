"""From LoadParams to a running core: vLLM's configuration, the executor that fits this process's role, and the errors of a load."""

from __future__ import annotations

import argparse
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...protocol import LaunchSpec, LoadParams, SamplingDefaults
from ..base import LoadError, Progress
from .app import check_arguments
from .chat_template import check_template, read_template
from .compat import tell_replaced_adapters_apart
from .cpu_adapters import mend_base_tokens
from .inline import InlineLLM, make_inline_llm
from .model_defaults import model_defaults
from .options import parse_arguments

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Built:
    """A loaded engine.

    parameters: weights of the model; 0 when they are in other processes
    chat_template: text that replaces the model's own
    defaults: what requests that leave values out get
    """

    llm: InlineLLM
    arguments: argparse.Namespace
    parameters: int
    chat_template: str | None
    defaults: SamplingDefaults


def build(launch: LaunchSpec, params: LoadParams, progress: Progress) -> Built:
    """Load the model. Raises LoadError in vLLM's words."""
    arguments = parse_arguments(params.model, params.options)
    progress("config", 0.0, params.model)
    check_arguments(arguments)
    _check_folder(params.model)
    template = read_template(arguments)
    executor = _executor(launch, progress)
    tell_replaced_adapters_apart()
    try:
        from vllm.engine.arg_utils import AsyncEngineArgs

        engine_args = AsyncEngineArgs.from_cli_args(arguments)
        engine_args.distributed_executor_backend = executor
        config = engine_args.create_engine_config()
        _check_experts(config)
        defaults = model_defaults(config.model_config)
        if template is not None:
            check_template(template, arguments, config.model_config)
        progress("weights", 0.0, "")
        llm = make_inline_llm(
            config, executor, log_stats=not engine_args.disable_log_stats, log_requests=engine_args.enable_log_requests
        )
    except (LoadError, KeyboardInterrupt, SystemExit):
        raise
    except Exception as error:
        log.exception("vLLM could not load %s", params.model)
        raise LoadError(f"vLLM cannot load {params.model}: {_last_words(error)}") from error
    progress("warmup", 1.0, "")
    return Built(llm, arguments, _parameters(llm), template, defaults)


def _executor(launch: LaunchSpec, progress: Progress) -> Any:
    if launch.role == "engine":
        from .executor import bind_executor

        return bind_executor(launch, progress)
    from vllm.v1.executor.uniproc_executor import UniProcExecutor

    from .adapter_manager import mend_adapter_manager
    from .prompt_logprobs import mend_prompt_logprobs
    from .world import join_alone

    join_alone()
    mend_base_tokens()
    mend_adapter_manager()
    mend_prompt_logprobs()
    return UniProcExecutor


def _check_experts(config: Any) -> None:
    """vLLM's CPU kernels take the number of an expert among all for one of the rank's own: they would read beyond their weights."""
    from vllm.platforms import current_platform

    parallel = config.parallel_config
    split = parallel.enable_expert_parallel and parallel.tensor_parallel_size > 1
    if split and current_platform.is_cpu() and config.model_config.is_moe:
        raise LoadError(
            "expected GPUs or NPUs for `enable_expert_parallel` but the ranks run on CPUs, for which vLLM cannot split experts;"
            " leave it out: tensor parallelism splits every expert"
        )


def _check_folder(model: str) -> None:
    path = Path(model).expanduser()
    looks_local = model.startswith(("/", ".", "~"))
    if looks_local and not (path / "config.json").is_file() and not (path / "params.json").is_file():
        raise LoadError(f"{model} holds no model: expected a folder with config.json")


def _parameters(llm: InlineLLM) -> int:
    worker = getattr(llm.core.model_executor, "driver_worker", None)
    runner = getattr(worker, "model_runner", None) or getattr(getattr(worker, "worker", None), "model_runner", None)
    model = getattr(runner, "model", None)
    return sum(weight.numel() for weight in model.parameters()) if model is not None else 0


def _last_words(error: BaseException) -> str:
    text = str(error).strip() or type(error).__name__
    return text if len(text) < 2000 else text[-2000:]
