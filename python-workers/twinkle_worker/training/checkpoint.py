"""Reads what snapshot.py wrote, and refuses what is torn, changed, or made for another model."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load
from torch import Tensor

from .adapter import Adapter, AdapterLayout
from .errors import DAMAGED, NO_CHECKPOINT, UNSUPPORTED, TrainingError
from .peft_export import CONFIG, WEIGHTS, named_tensors
from .snapshot import FORMAT, MANIFEST, OPTIMIZER
from .spec import LoraSpec
from .targets import Targets


def read_checkpoint(folder: Path, targets: Targets, optimizer: bool, device: torch.device, max_rank: int) -> Adapter:
    """The run in ``folder``: with its moments and step if ``optimizer``, else as if it had taken none.

    Raises TrainingError for a folder that is torn or changed, or made for another model.
    """
    manifest = read_manifest(folder)
    try:
        spec, step, sums = LoraSpec(**manifest["lora"]), int(manifest["step"]), dict(manifest["files"])
    except (KeyError, TypeError, ValueError) as error:
        raise damaged(folder, f"its manifest lacks something ({error})") from error
    if optimizer and OPTIMIZER not in sums:
        raise TrainingError(
            UNSUPPORTED, f"the checkpoint {folder.name} holds no optimizer state; load it without", "optimizer"
        )
    spec.check(max_rank)
    adapter = Adapter(spec, targets.select(spec), device)
    weights = _tensors(folder, WEIGHTS, sums)
    _fill(adapter.layout, adapter.flat, weights, "", folder)
    _verified(folder, CONFIG, sums)
    if optimizer:
        moments = _tensors(folder, OPTIMIZER, sums)
        for kind, flat in zip(("exp_avg", "exp_avg_sq"), adapter.moments(), strict=True):
            _fill(adapter.layout, flat, moments, f"{kind}.", folder)
        adapter.step = step
    return adapter


def _fill(layout: AdapterLayout, flat: Tensor, tensors: Mapping[str, Tensor], prefix: str, folder: Path) -> None:
    own = {name.removeprefix(prefix): part for name, part in tensors.items() if name.startswith(prefix)}
    wanted = named_tensors(layout, flat)
    if own.keys() != wanted.keys():
        odd = sorted(own.keys() ^ wanted.keys())[0]
        raise TrainingError(
            UNSUPPORTED, f"the checkpoint {folder.name} was made for another model: it differs in {odd}"
        )
    for name, part in wanted.items():
        if own[name].shape != part.shape or own[name].dtype != torch.float32:
            raise TrainingError(
                UNSUPPORTED,
                f"the checkpoint {folder.name} was made for another model: {name} is {list(own[name].shape)}, not {list(part.shape)}",
            )
        part.copy_(own[name])


def read_manifest(folder: Path) -> dict[str, Any]:
    """What was noted of a checkpoint. Raises TrainingError where there is none, or none of this format."""
    try:
        manifest = json.loads((folder / MANIFEST).read_bytes())
    except FileNotFoundError as error:
        if not folder.is_dir():
            raise TrainingError(NO_CHECKPOINT, f"there is no checkpoint {folder.name}") from error
        raise damaged(folder, "its manifest is missing") from error
    except (OSError, ValueError) as error:
        raise damaged(folder, f"its manifest cannot be read ({type(error).__name__})") from error
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise damaged(folder, "its manifest has another format")
    return manifest


def _tensors(folder: Path, name: str, sums: Mapping[str, str]) -> dict[str, Tensor]:
    content = _verified(folder, name, sums)
    try:
        return load(content)
    except Exception as error:
        raise damaged(folder, f"{name} holds no tensors ({error})") from error


def _verified(folder: Path, name: str, sums: Mapping[str, str]) -> bytes:
    try:
        content = (folder / name).read_bytes()
    except OSError as error:
        raise damaged(folder, f"{name} cannot be read ({error.strerror})") from error
    if hashlib.sha256(content).hexdigest() != sums.get(name):
        raise damaged(folder, f"{name} is not what was written")
    return content


def damaged(folder: Path, why: str) -> TrainingError:
    """What a torn or changed checkpoint is refused with."""
    return TrainingError(DAMAGED, f"the checkpoint {folder.name} is damaged: {why}; use an older one")
