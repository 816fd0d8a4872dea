"""Reads what snapshot.py wrote, and refuses what is torn, changed, or made for another model."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load
from torch import Tensor

from .adapter import Adapter, AdapterLayout
from .errors import UNSUPPORTED, TrainingError
from .manifest import MOMENTS, OPTIMIZER, damaged, noted
from .peft_export import CONFIG, WEIGHTS, named_tensors
from .spec import LoraSpec
from .targets import Targets


def read_checkpoint(
    folder: Path,
    manifest: Mapping[str, Any],
    targets: Targets,
    optimizer: bool,
    device: torch.device,
    max_rank: int,
    place: int = 0,
) -> Adapter:
    """The run in ``folder``: with its moments and step if ``optimizer``, else as if it had taken none.

    manifest: from read_manifest; place: as Adapter's. Raises TrainingError for a folder that is torn or changed, or made for another model.
    """
    found = noted(folder, manifest, LoraSpec, optimizer)
    spec, sums = found.spec, found.files
    spec.check(max_rank)
    adapter = Adapter(spec, targets.select(spec), device, place)
    weights = _tensors(folder, WEIGHTS, sums)
    _fill(adapter.layout, adapter.flat, weights, "", folder)
    _verified(folder, CONFIG, sums)
    if optimizer:
        moments = _tensors(folder, OPTIMIZER, sums)
        for kind, flat in zip(MOMENTS, adapter.moments(), strict=True):
            _fill(adapter.layout, flat, moments, f"{kind}.", folder)
        adapter.step, adapter.optimizer = found.step, found.optimizer
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
