"""Imports what a rank will need, in a template process that forks ranks: no device is touched and no thread started."""

from __future__ import annotations

import importlib
import json
from pathlib import Path

from ..base import LoadError
from .model_files import checked_folder


def preload(model: str) -> None:
    """Import torch, transformers, this engine and, for a local folder, the code of its architecture. Unknown models are fine.

    For a folder that no rank can load, nothing is imported: the first rank says at once what is missing.
    """
    try:
        checked_folder(model)
    except LoadError:
        return
    from .threads import wait_without_spinning

    wait_without_spinning()
    import transformers.models.auto.modeling_auto
    import transformers.models.auto.tokenization_auto  # noqa: F401
    from transformers import AutoModelForCausalLM, AutoTokenizer  # noqa: F401

    from . import core  # noqa: F401

    try:
        kind = json.loads((Path(model).expanduser() / "config.json").read_text(encoding="utf-8"))["model_type"]
        package = str(kind).replace("-", "_")
        importlib.import_module(f"transformers.models.{package}.modeling_{package}")
        importlib.import_module("transformers.generation.utils")
    except (OSError, ValueError, KeyError, TypeError, ImportError):
        return
