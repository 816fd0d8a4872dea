"""Imports what a rank will need, in a template process that forks ranks: no device is touched and no thread started."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import TYPE_CHECKING

from ..base import LoadError
from .model_files import checked_folder

if TYPE_CHECKING:
    from collections.abc import Sequence


def preload(models: Sequence[str]) -> None:
    """Import torch, transformers, this engine and, for local folders, the code of their architectures. Unknown models are fine.

    For folders that no rank can load, nothing is imported: the first rank says at once what is missing.
    """
    sound = [model for model in models if _is_sound(model)]
    if not sound:
        return
    from .threads import wait_without_spinning

    wait_without_spinning()
    import transformers.models.auto.modeling_auto
    import transformers.models.auto.tokenization_auto  # noqa: F401
    from transformers import AutoModelForCausalLM, AutoTokenizer  # noqa: F401

    from . import core  # noqa: F401

    for model in sound:
        _import_architecture(model)


def _is_sound(model: str) -> bool:
    try:
        checked_folder(model)
    except LoadError:
        return False
    return True


def _import_architecture(model: str) -> None:
    try:
        kind = json.loads((Path(model).expanduser() / "config.json").read_text(encoding="utf-8"))["model_type"]
        package = str(kind).replace("-", "_")
        importlib.import_module(f"transformers.models.{package}.modeling_{package}")
        importlib.import_module("transformers.generation.utils")
    except Exception:
        return  # whatever it is, it is this model's: its ranks will say it, and the template serves others
