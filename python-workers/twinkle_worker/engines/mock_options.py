"""Options of the mock engine: their types, defaults and scripted faults."""

from __future__ import annotations

from typing import Any

from .base import LoadError

_OPTIONS: dict[str, tuple[type, Any]] = {
    "step_ms": (float, 0.0),
    "load_ms": (float, 0.0),
    "max_model_len": (int, 4096),
    "max_num_seqs": (int, 256),
    "fault": (str, ""),
    "routes": (str, ""),
    "sleep_ms": (float, -1.0),
}


def parse_options(given: dict[str, Any]) -> dict[str, Any]:
    """Every option by name, with its default. Raises LoadError."""
    for name in given:
        if name not in _OPTIONS:
            raise LoadError(f"the mock engine has no option {name!r}; it has {', '.join(_OPTIONS)}")
    try:
        return {name: kind(given.get(name, default)) for name, (kind, default) in _OPTIONS.items()}
    except (TypeError, ValueError) as error:
        raise LoadError(f"mock engine option: {error}") from error


def parse_fault(text: str) -> tuple[str, str, int]:
    """``KIND@PLACE`` as (kind, place, count); all empty without a fault. Raises LoadError."""
    if not text:
        return ("", "", 0)
    kind, _, place = text.partition("@")
    where, _, count = place.partition(":")
    known = kind in ("kill", "hang", "error") or (kind.startswith("exit:") and kind[5:].isdigit())
    if not known or where not in ("load", "token") or (where == "token" and not count.isdigit()):
        raise LoadError(f"fault {text!r}: expected exit:N|kill|hang|error, then @load or @token:N")
    return (kind, where, int(count or 0))
