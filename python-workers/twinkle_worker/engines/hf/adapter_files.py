"""Reads a PEFT folder into memory and checks all of it against the model's layers. Runs beside the engine's steps, on another thread."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from ..adapter_routes import AdapterRefusal
from .adapter import Pair
from .adapter_config import LoraConfig, parse_config
from .lora_targets import LoraTargets

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
_PREFIX = "base_model.model."
_HALF = re.compile(r"(?P<layer>.+)\.lora_(?P<half>[AB])\.weight")


def read_adapter(path: str, targets: LoraTargets) -> dict[str, Pair]:
    """Weights of the adapter in the folder ``path``, by layer. Raises AdapterRefusal."""
    folder = Path(path)
    try:
        if not folder.exists():
            raise AdapterRefusal(
                f"there is no folder {path}; name one that this rank can read, hub ids are not fetched"
            )
        if not folder.is_dir():
            raise AdapterRefusal(f"{path} is no folder; name the one with {CONFIG} and {WEIGHTS}")
        config = parse_config(_file(folder, CONFIG).read_bytes())
        # Tensors go to the device as they are, and are turned there: that many small turned copies take a CPU several times longer.
        with safe_open(_file(folder, WEIGHTS), "pt", str(targets.device)) as file:
            return _read(file, config, targets)
    except (OSError, SafetensorError) as error:
        raise AdapterRefusal(f"the adapter in {path} cannot be read: {error}; save it again") from error
    except torch.OutOfMemoryError as error:
        raise AdapterRefusal(
            f"the adapter in {path} does not fit the device's memory; unload another, or lower gpu_memory_utilization"
        ) from error


def _file(folder: Path, name: str) -> Path:
    if not (folder / name).is_file():
        pickle = (folder / "adapter_model.bin").exists() and name == WEIGHTS
        hint = "; adapter_model.bin is a pickle, which is not read: save it with safe_serialization" if pickle else ""
        raise AdapterRefusal(f"{folder} lacks {name}{hint or '; name the folder that PEFT wrote'}")
    return folder / name


def _read(file: Any, config: LoraConfig, targets: LoraTargets) -> dict[str, Pair]:
    halves: dict[str, dict[str, str]] = {}
    copies: dict[str, Tensor] = {}
    for name in file.keys():  # noqa: SIM118, no mapping
        inner = name.removeprefix(_PREFIX)
        found = _HALF.fullmatch(inner)
        if found is not None:
            halves.setdefault(found["layer"], {})[found["half"]] = name
            continue
        # PEFT saves embeddings along when the head has LoRA.
        base = targets.parameter(inner.replace(".base_layer.", "."))
        if base is None:
            raise AdapterRefusal(
                f"the adapter has a tensor {name}, which is no LoRA of a linear layer; merge it into the model"
            )
        copies[name] = base
    if not halves:
        raise AdapterRefusal("the adapter has no LoRA tensors; save it again")
    for layer, names in halves.items():
        _check_shapes(file, layer, names, config.rank_of(layer), targets)
    for name, base in copies.items():
        _check_copy(name, file.get_tensor(name), base)
    pairs = {layer: _pair(file, layer, names, config.scale_of(layer), targets) for layer, names in halves.items()}
    _check_finite(pairs)
    return pairs


def _check_shapes(file: Any, layer: str, names: Mapping[str, str], rank: int, targets: LoraTargets) -> None:
    linear = targets.layer(layer)
    for half, shape in (("A", [rank, linear.in_features]), ("B", [linear.out_features, rank])):
        if half not in names:
            raise AdapterRefusal(f"the adapter lacks {layer}.lora_{half}.weight; save it again")
        found = file.get_slice(names[half]).get_shape()
        if found != shape:
            raise AdapterRefusal(
                f"expected the shape {shape} for {layer}.lora_{half}.weight but received {found}; "
                "the adapter was made for another model, or its config for another rank"
            )


def _check_copy(name: str, copy: Tensor, base: Tensor) -> None:
    if copy.shape != base.shape or not torch.equal(copy.to(base), base):
        raise AdapterRefusal(
            f"the adapter changes {name} of the model, which this engine does not serve; merge it into the model"
        )


def _pair(file: Any, layer: str, names: Mapping[str, str], scale: float, targets: LoraTargets) -> Pair:
    weight = targets.layer(layer).weight
    a, b = (file.get_tensor(names[half]) for half in "AB")
    if not (a.is_floating_point() and b.is_floating_point()):
        raise AdapterRefusal(
            f"expected floating point numbers for {layer} but received {a.dtype}; save the adapter again"
        )
    # A copy in any case: without one, a tensor lives in the file, which may be replaced or cut short later.
    return (
        a.mT.to(weight.dtype).clone(memory_format=torch.contiguous_format),
        (b.float() * scale).mT.to(weight.dtype).contiguous(),
    )


def _check_finite(pairs: Mapping[str, Pair]) -> None:
    tensors = [tensor for pair in pairs.values() for tensor in pair]
    # One number to wait for instead of one for each tensor. The sum may overflow where no tensor has to be blamed.
    if bool(torch.nn.utils.get_total_norm(tensors, 1.0).isfinite()):
        return
    for layer, pair in pairs.items():
        for half, tensor in zip("AB", pair, strict=True):
            if not bool(tensor.isfinite().all()):
                raise AdapterRefusal(
                    f"{layer}.lora_{half}.weight has numbers that are not finite in {tensor.dtype}; the training diverged, "
                    "or the numbers need a wider dtype"
                )
