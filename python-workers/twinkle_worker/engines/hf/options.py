"""Engine arguments: their names, types, ranges and defaults. Knows nothing of torch.

Names and meanings are vLLM's where it has them. Text is accepted for numbers and booleans, because a command line has only text.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ..base import LoadError


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """Checked engine arguments.

    dtype: ``auto`` is what the checkpoint says; None picks auto on CUDA and float32 on the CPU
    device: ``auto`` is CUDA when there is one
    max_model_len: tokens, prompt and answer together; None: the model's own limit
    max_num_seqs: choices that advance in one step
    max_num_batched_tokens: prompt tokens computed per step; None: 512 on the CPU, 4096 on CUDA
    max_logprobs: alternatives per token that a request may ask for
    gpu_memory_utilization: part of a CUDA device's memory for weights and KV cache together
    kv_cache_memory_bytes: limit of the KV cache; None: by gpu_memory_utilization, or half of the free memory on the CPU
    chat_template: path of a Jinja file, or the template itself; None: the tokenizer's own
    seed: of requests without a seed of their own; None: from the system
    num_threads: of torch on the CPU; None is one for small models, else torch's default
    """

    dtype: str | None = None
    device: str = "auto"
    max_model_len: int | None = None
    max_num_seqs: int = 32
    max_num_batched_tokens: int | None = None
    max_logprobs: int = 20
    trust_remote_code: bool = False
    revision: str | None = None
    chat_template: str | None = None
    seed: int | None = None
    num_threads: int | None = None
    gpu_memory_utilization: float = 0.9
    kv_cache_memory_bytes: int | None = None
    attn_implementation: str = "sdpa"


def _fail(name: str, expected: str, value: object) -> LoadError:
    return LoadError(f"expected {expected} for the engine argument `{name}` but received {value!r}")


def _integer(low: int) -> Callable[[str, Any], int]:
    def parse(name: str, value: Any) -> int:
        try:
            number = int(value) if isinstance(value, str) else value
        except ValueError:
            number = None
        if not isinstance(number, int) or isinstance(number, bool) or number < low:
            raise _fail(name, f"an integer of at least {low}", value)
        return number

    return parse


def _fraction(name: str, value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = -1.0
    if isinstance(value, bool) or not 0.0 < number <= 1.0:
        raise _fail(name, "a number over 0 and at most 1", value)
    return number


def _flag(name: str, value: Any) -> bool:
    known = {"true": True, "1": True, "false": False, "0": False}
    flag = known.get(value.lower()) if isinstance(value, str) else value
    if not isinstance(flag, bool):
        raise _fail(name, "true or false", value)
    return flag


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str) or value == "":
        raise _fail(name, "a text", value)
    return value


def _one_of(*names: str) -> Callable[[str, Any], str]:
    def parse(name: str, value: Any) -> str:
        if value not in names:
            raise _fail(name, " or ".join(names), value)
        return value

    return parse


def _device(name: str, value: Any) -> str:
    index = value[5:] if isinstance(value, str) and value.startswith("cuda:") else ""
    if value in ("auto", "cpu", "cuda") or (index.isascii() and index.isdigit()):
        return value
    raise _fail(name, "auto, cpu, cuda or cuda:N", value)


_PARSERS: dict[str, Callable[[str, Any], Any]] = {
    "dtype": _one_of("auto", "float32", "bfloat16", "float16"),
    "device": _device,
    "max_model_len": _integer(2),
    "max_num_seqs": _integer(1),
    "max_num_batched_tokens": _integer(1),
    "max_logprobs": _integer(0),
    "trust_remote_code": _flag,
    "revision": _text,
    "chat_template": _text,
    "seed": _integer(0),
    "num_threads": _integer(1),
    "gpu_memory_utilization": _fraction,
    "kv_cache_memory_bytes": _integer(1),
    "attn_implementation": _one_of("sdpa", "eager"),
}


def parse_options(given: Mapping[str, Any]) -> EngineOptions:
    """Check ``given`` (names with ``-`` or ``_``); an absent or None value is the default. Raises LoadError."""
    values: dict[str, Any] = {}
    for key, value in given.items():
        name = key.replace("-", "_")
        parser = _PARSERS.get(name)
        if parser is None:
            near = difflib.get_close_matches(name, _PARSERS, n=1)
            hint = f"did you mean `{near[0]}`?" if near else f"known are {', '.join(_PARSERS)}"
            raise LoadError(f"unknown argument `{key}` of the engine `transformers`; {hint}")
        if value is not None:
            values[name] = parser(name, value)
    return EngineOptions(**values)
