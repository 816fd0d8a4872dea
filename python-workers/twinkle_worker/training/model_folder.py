"""A model written as transformers and vLLM load it: its weights as they are now, all else as it came. Knows no runs."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from ..engines.base import LoadError
from ..engines.hf.model_files import local_folder

_COPIED = {".json", ".txt", ".jinja", ".model", ".py", ".tiktoken"}
"""Endings of what a model folder has beside weights: configurations, tokenizer, chat template, code."""
_SHARD = "5GB"
"""So much is copied to the host at a time."""


def write_model(model: Any, name: str, folder: Path) -> None:
    """Fill ``folder``. Raises OSError.

    name: of the model, a folder or hub id: its tokenizer and configurations are taken from there
    """
    from safetensors import SafetensorError
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        model.save_pretrained(folder, max_shard_size=_SHARD)
    except SafetensorError as error:
        raise OSError(str(error)) from error
    finally:
        if shown:
            logging.enable_progress_bar()
    source = _source(model, name)
    if source is None:
        return
    for file in source.iterdir():
        ours = file.name in ("config.json", "manifest.json") or file.name.endswith(".index.json")
        if file.suffix in _COPIED and file.is_file() and not ours:
            shutil.copyfile(file, folder / file.name)
    _keep_config(model, source / "config.json", folder / "config.json")


def _keep_config(model: Any, source: Path, target: Path) -> None:
    """The model's own words, which more programs understand than what transformers makes of them; with the dtype of what was written."""
    config = json.loads(source.read_bytes())
    if type(model).__name__ not in (config.get("architectures") or ()):
        return  # it describes more than this model
    key = "dtype" if "dtype" in config else "torch_dtype"
    config[key] = str(model.dtype).removeprefix("torch.")
    target.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def _source(model: Any, name: str) -> Path | None:
    """Where the model came from; None for one that was not read from files."""
    try:
        folder = local_folder(name)
    except LoadError:
        return None
    if folder is not None:
        return folder
    from transformers.utils.hub import cached_file

    try:
        found = cached_file(
            name, "config.json", revision=getattr(model.config, "_commit_hash", None), local_files_only=True
        )
    except OSError:
        return None
    return None if found is None else Path(found).parent
