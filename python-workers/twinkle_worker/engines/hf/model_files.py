"""Looks into a model folder before anything heavy is imported, so that what is missing is named. Knows nothing of torch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ..base import LoadError

WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")
"""File names of weights, in the order in which they are preferred."""

TOKENIZER = ("tokenizer.json", "tokenizer.model", "tokenizer_config.json", "vocab.json", "spiece.model")
"""Any one of these makes a tokenizer."""


def local_folder(model: str) -> Path | None:
    """The folder that ``model`` names, or None when it is a hub id. Raises LoadError when it is a path to nothing."""
    path = Path(model).expanduser()
    if path.is_dir():
        return path
    if path.exists():
        raise LoadError(f"expected a model folder but {model} is a file; give the folder that holds config.json")
    if model.startswith(("/", ".", "~")) or model.count("/") > 1:
        raise LoadError(
            f"the model folder {model} does not exist; give an existing folder or a hub id such as org/name"
        )
    return None


def checked_folder(model: str) -> Path | None:
    """The folder that ``model`` names, found whole; None for a hub id. Raises LoadError that names what is missing."""
    folder = local_folder(model)
    if folder is not None:
        check_folder(folder)
    return folder


def check_folder(folder: Path) -> None:
    """Raise LoadError unless ``folder`` holds a readable config.json, weights with all their shards, and a tokenizer."""
    _read_json(folder, "config.json", "it is no model folder, or the download is incomplete")
    found = next((name for name in WEIGHTS if (folder / name).is_file()), None)
    if found is None:
        raise LoadError(f"no weights in {folder}: looked for {', '.join(WEIGHTS)}; complete the download")
    if found.endswith(".index.json"):
        shards = set(_read_json(folder, found, "it lists the shards").get("weight_map", {}).values())
        missing = sorted(name for name in shards if not (folder / name).is_file())
        if missing:
            raise LoadError(
                f"{len(missing)} of {len(shards)} weight files named by {found} are not in {folder}: "
                f"{', '.join(missing[:3])}; complete the download"
            )
    if not any((folder / name).is_file() for name in TOKENIZER):
        raise LoadError(
            f"no tokenizer in {folder}: looked for {', '.join(TOKENIZER)}; copy the tokenizer files of the model there"
        )


def _read_json(folder: Path, name: str, why: str) -> dict[str, Any]:
    try:
        content = json.loads((folder / name).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise LoadError(f"no {name} in {folder}: {why}") from None
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise LoadError(f"{folder / name} cannot be read as JSON: {error}") from error
    if not isinstance(content, dict):
        raise LoadError(f"{folder / name} holds no JSON object")
    return content
