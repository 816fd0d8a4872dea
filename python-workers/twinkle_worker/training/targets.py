"""Finds the linear layers of a causal language model that LoRA may train, by where they stand in the model and not by their names."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from ..engines.base import LoadError
from .errors import INVALID, UNSUPPORTED, TrainingError
from .spec import KINDS, LoraSpec


@dataclass(frozen=True, slots=True)
class Target:
    """A linear layer.

    index: place in Targets.found
    name: as in ``model.named_modules()``
    kind: one of spec.KINDS
    shape: (out features, in features)
    """

    index: int
    name: str
    kind: str
    shape: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Targets:
    """All targets of a model, in its own order, and why a kind cannot be trained, by kind."""

    found: tuple[Target, ...]
    gaps: dict[str, str]

    def select(self, spec: LoraSpec) -> list[Target]:
        """The targets that ``spec`` trains. Raises TrainingError where the model has none for a kind, or for a name."""
        if spec.targets is not None:
            return self._named(spec.targets)
        for kind in spec.kinds:
            if kind in self.gaps:
                raise TrainingError(
                    UNSUPPORTED,
                    f"this model cannot be trained with train_{kind}: {self.gaps[kind]}",
                    f"lora_config.train_{kind}",
                )
        return [target for target in self.found if target.kind in spec.kinds]

    def _named(self, words: Sequence[str]) -> list[Target]:
        """Those that PEFT means by ``words``: a name is one of them, or ends in a dot and one of them."""
        unknown = [word for word in words if not any(_fits(word, target) for target in self.found)]
        if unknown or not words:
            there = ", ".join(sorted({target.name.rpartition(".")[2] for target in self.found}))
            gaps = "".join(f"; {kind} layers cannot be trained: {why}" for kind, why in self.gaps.items())
            raise TrainingError(
                INVALID,
                f"expected names of linear layers of this model for targets but received "
                f"{', '.join(map(repr, unknown)) or 'none'}; there is {there or 'none'}{gaps}",
                "lora_config.targets",
            )
        return [target for target in self.found if any(_fits(word, target) for word in words)]


def _fits(word: str, target: Target) -> bool:
    return target.name == word or target.name.endswith(f".{word}")


def decoder_layers(model: nn.Module, attention: Collection[nn.Module]) -> tuple[str, nn.ModuleList]:
    """Name and list of the decoder layers: the outermost ModuleList that holds all of ``attention``. Raises LoadError."""
    wanted = {id(module) for module in attention}
    for name, module in model.named_modules():
        if isinstance(module, nn.ModuleList) and wanted <= {id(part) for part in module.modules()}:
            return name, module
    raise LoadError(
        f"{type(model).__name__} keeps its decoder layers in no ModuleList, so its parts cannot be told apart"
    )


def find_targets(model: Any, attention: Collection[nn.Module]) -> Targets:
    """Sort the linear layers of ``model`` into kinds. Raises LoadError for a model without decoder layers.

    attention: the modules that attended in a forward pass. Inside a decoder layer, what stands in one of them is attn, and all else mlp.
    A kind has a gap where any decoder layer has no linear layer of it, or keeps a matrix of it in anything but an ``nn.Linear``
    (fused experts, Conv1D, quantized): LoRA would then train less than was asked for.
    """
    prefix, layers = decoder_layers(model, attention)
    found: list[Target] = []
    gaps: dict[str, str] = {}
    for at, layer in enumerate(layers):
        inside = {id(part) for module in attention for part in module.modules()}
        seen: set[str] = set()
        for name, module in _modules(layer, f"{prefix}.{at}"):
            kind = "attn" if id(module) in inside else "mlp"
            if type(module) is nn.Linear:
                seen.add(kind)
                found.append(Target(len(found), name, kind, (module.out_features, module.in_features)))
            elif any(weight.ndim > 1 for weight in module.parameters(recurse=False)):
                gaps.setdefault(kind, f"{name} ({type(module).__name__}) keeps its weights in no linear layer")
        for kind in ("attn", "mlp"):
            if kind not in seen:
                gaps.setdefault(kind, f"{prefix}.{at} has no linear layer of that kind")
    head = model.get_output_embeddings()
    if type(head) is nn.Linear:
        name = next(name for name, module in model.named_modules() if module is head)
        found.append(Target(len(found), name, "unembed", (head.out_features, head.in_features)))
    else:
        gaps["unembed"] = f"its output embedding is {type(head).__name__}, no linear layer"
    return Targets(
        tuple(target for target in found if target.kind not in gaps), {k: gaps[k] for k in KINDS if k in gaps}
    )


def _modules(layer: nn.Module, prefix: str) -> Iterator[tuple[str, nn.Module]]:
    for name, module in layer.named_modules():
        yield f"{prefix}.{name}" if name else prefix, module
