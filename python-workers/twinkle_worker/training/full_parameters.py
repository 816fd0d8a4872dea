"""Sorts the parameters of a causal language model into the kinds that a run may train, by where they stand in it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from torch import nn

from .errors import UNSUPPORTED, TrainingError
from .spec import FullSpec
from .targets import decoder_layers


def sort_parameters(model: Any, attention: Collection[nn.Module]) -> dict[str, str]:
    """The kind of every parameter, one of spec.KINDS, by its name in ``model.named_parameters()`` and in that order. Raises LoadError.

    attention: the modules that attended in a forward pass. What stands in one of them is attn, and so are all norms. What else is in a
    decoder layer is mlp; embeddings and the output layer, tied or not, are unembed.
    """
    prefix, _ = decoder_layers(model, attention)
    inside = {id(part) for module in attention for part in module.modules()}
    kinds: dict[str, str] = {}
    for name, _ in model.named_parameters():
        owner = model.get_submodule(name.rpartition(".")[0])
        has_matrix = any(weight.ndim > 1 for weight in owner.parameters(recurse=False))
        if id(owner) in inside or not has_matrix:
            kinds[name] = "attn"
        else:
            kinds[name] = "mlp" if name.startswith(f"{prefix}.") else "unembed"
    return kinds


def select_parameters(model: nn.Module, kinds: Mapping[str, str], spec: FullSpec) -> dict[str, nn.Parameter]:
    """Those that ``spec`` trains, by name. Raises TrainingError where the model has none of a kind, or none that can be trained."""
    spec.check()
    for kind in spec.kinds:
        if kind not in kinds.values():
            raise TrainingError(
                UNSUPPORTED, f"this model has no parameters to train with train_{kind}", f"lora_config.train_{kind}"
            )
    chosen = {name: model.get_parameter(name) for name, kind in kinds.items() if kind in spec.kinds}
    for name, weight in chosen.items():
        if not weight.is_floating_point() or weight.element_size() < 2:
            raise TrainingError(
                UNSUPPORTED,
                f"{name} is quantized ({str(weight.dtype).removeprefix('torch.')}), so it cannot be trained itself: train a LoRA",
                "lora_config.rank",
            )
    return chosen
