"""From LLM configs to an application."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..application import Application
from ..config import Settings
from ..plain import plain


class LLMServingArgs(Settings):
    """``llm_configs``: a list of LLMConfig."""


def build_openai_app(args: Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> Application:
    """An application that serves these models with OpenAI's API: ``{"llm_configs": [LLMConfig(…), …]}``, or the list alone.

    Raises ValueError for other names, TypeError for values that are not plain.
    """
    if not isinstance(args, Mapping):
        args = {"llm_configs": args}
    others = [name for name in args if name != "llm_configs"]
    if others:
        raise ValueError(f"build_openai_app takes llm_configs and not {', '.join(others)}")
    configs = args.get("llm_configs")
    if not isinstance(configs, list | tuple) or not configs:
        raise ValueError(f"expected a list of LLMConfig for llm_configs but received {configs!r}")
    return Application({"llm_configs": plain(configs, "llm_configs")})
