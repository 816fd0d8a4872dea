"""Engine arguments as users of `vllm serve` write them → vLLM's own parsed arguments. Its parser is the judge of names and values."""

from __future__ import annotations

import argparse
import json
import os
from typing import Any

from ..base import LoadError
from .compat import make_serve_parser
from .cpu_cache import default_cache_bytes
from .environment import is_cpu_build


def parse_arguments(model: str, options: dict[str, Any]) -> argparse.Namespace:
    """vLLM's arguments: ``options`` by name in snake case over what this engine needs. Raises LoadError in the parser's words."""
    known = dict(options)
    # The development routes turn vLLM's default on: every 4xx would be logged with its stack.
    known.setdefault("log_error_stack", False)
    if is_cpu_build():
        known.setdefault("enforce_eager", True)
        if "VLLM_CPU_KVCACHE_SPACE" not in os.environ:
            ranks = int(known.get("tensor_parallel_size", 1)) * int(known.get("pipeline_parallel_size", 1))
            known.setdefault("kv_cache_memory_bytes", default_cache_bytes(model, ranks))
    parser = make_serve_parser()
    errors: list[str] = []

    def refuse(message: str) -> None:
        errors.append(message)
        raise argparse.ArgumentError(None, message)

    parser.error = refuse  # type: ignore[method-assign] -- it would end the process
    try:
        return parser.parse_args(["--model", model, *to_words(known)])
    except (argparse.ArgumentError, ValueError, TypeError, SystemExit) as error:
        raise LoadError(f"vLLM refuses its arguments: {errors[-1] if errors else error}") from error


def to_words(options: dict[str, Any]) -> list[str]:
    """``{"max_num_seqs": 8, "enable_lora": True, "lora_modules": ["a=b"]}`` → words of a command line."""
    words: list[str] = []
    for name, value in options.items():
        flag = "--" + name.replace("_", "-")
        if value is None:
            continue
        if value is True:
            words.append(flag)
        elif value is False:
            words.append("--no-" + name.replace("_", "-"))
        elif isinstance(value, dict):
            words += [flag, json.dumps(value)]
        elif isinstance(value, (list, tuple)):
            words += [flag, *(json.dumps(item) if isinstance(item, (dict, list)) else str(item) for item in value)]
        else:
            words += [flag, str(value)]
    return words
