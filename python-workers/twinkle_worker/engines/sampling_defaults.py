"""What a model wants where a request says nothing: the values of a generation_config.json, checked. Knows no engine."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from ..protocol import SamplingDefaults
from .base import LoadError

_RANGES: dict[str, tuple[float, Callable[[float], bool], str]] = {
    "temperature": (1.0, lambda value: 0 <= value < math.inf, "a number of at least 0"),
    "top_p": (1.0, lambda value: 0 < value <= 1, "a number over 0 and at most 1"),
    "top_k": (0, lambda value: value >= -1 and value == int(value), "an integer of at least -1"),
    "min_p": (0.0, lambda value: 0 <= value <= 1, "a number from 0 to 1"),
    "repetition_penalty": (1.0, lambda value: 0 < value < math.inf, "a number over 0"),
    "presence_penalty": (0.0, lambda value: -2 <= value <= 2, "a number from -2 to 2"),
    "frequency_penalty": (0.0, lambda value: -2 <= value <= 2, "a number from -2 to 2"),
}
"""Key → (what it is where nobody says, whether a value may be, which may)."""


def sampling_defaults(config: Mapping[str, Any], max_tokens_limit: int | None = None) -> SamplingDefaults:
    """From values by their names in a generation_config.json; those that are absent or None are neutral, others are not looked at.

    max_tokens_limit: most new tokens of any request. Raises LoadError for a value out of its range.
    """
    values = {name: _value(name, config.get(name)) for name in _RANGES}
    return SamplingDefaults(
        temperature=values["temperature"],
        top_p=values["top_p"],
        top_k=max(0, int(values["top_k"])),
        min_p=values["min_p"],
        repetition_penalty=values["repetition_penalty"],
        presence_penalty=values["presence_penalty"],
        frequency_penalty=values["frequency_penalty"],
        max_tokens=_count(config.get("max_new_tokens")),
        max_tokens_limit=_count(max_tokens_limit),
    )


def _value(name: str, given: Any) -> float:
    neutral, fits, expected = _RANGES[name]
    if given is None:
        return neutral
    if isinstance(given, bool) or not isinstance(given, (int, float)) or not math.isfinite(given) or not fits(given):
        raise _wrong(name, expected, given)
    return given


def _count(given: Any) -> int | None:
    if given is None:
        return None
    if isinstance(given, bool) or not isinstance(given, int) or given < 1:
        raise _wrong("max_new_tokens", "an integer of at least 1", given)
    return given


def _wrong(name: str, expected: str, given: Any) -> LoadError:
    return LoadError(f"expected {expected} for `{name}` of the generation config but received {given!r}; mend it there")
