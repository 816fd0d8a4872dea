"""Which Python the ranks run in, where nobody says: this one, if it has what the engines need."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Mapping
from typing import Any

_NEEDS = {"vllm": ("vllm",), "transformers": ("torch", "transformers"), "mock": ()}
_WORKER = ("zmq", "msgspec")


def own_interpreter(config: Mapping[str, Any]) -> str | None:
    """Path of this interpreter when every engine of the configuration can run in it, else None: the server makes an environment."""
    engines = {str(item.get("llm_engine", "vllm")).lower() for item in config.get("llm_configs", ())}
    if not engines <= _NEEDS.keys():
        return None  # the server says what there is
    modules = {*_WORKER, *(module for engine in engines for module in _NEEDS[engine])}
    return sys.executable if all(importlib.util.find_spec(module) is not None for module in modules) else None
