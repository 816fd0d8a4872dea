"""An adapter as PEFT writes it: what samplers load, users download, and checkpoints hold. Imports no PEFT."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from .adapter import AdapterLayout
from .spec import LoraSpec
from .targets import Target

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
_PREFIX = "base_model.model."


def named_tensors(layout: AdapterLayout, flat: Tensor) -> dict[str, Tensor]:
    """Views into ``flat`` [size] by PEFT's names, ``base_model.model.….lora_A.weight`` [rank, in] and lora_B [out, rank]."""
    views = layout.views(flat)
    named: dict[str, Tensor] = {}
    for target in layout.targets:
        a, b = views[target.index]
        named[f"{_PREFIX}{target.name}.lora_A.weight"] = a
        named[f"{_PREFIX}{target.name}.lora_B.weight"] = b
    return named


def adapter_config(spec: LoraSpec, trained: Sequence[Target], known: Sequence[Target], base: str) -> Mapping[str, Any]:
    """The content of adapter_config.json.

    trained: by this run; known: all that the model has. Modules are named by their last word where that says the same, as samplers expect.
    """
    own = {target.name for target in trained}
    words = {target.name.rpartition(".")[2] for target in trained}
    told_apart = all(target.name in own for target in known if target.name.rpartition(".")[2] in words)
    whole = int(spec.alpha)
    return {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base,
        "inference_mode": True,
        "r": spec.rank,
        "lora_alpha": whole if whole == spec.alpha else spec.alpha,
        "lora_dropout": spec.dropout,
        "use_rslora": spec.rslora,
        "bias": "none",
        "target_modules": sorted(words if told_apart else own),
    }
