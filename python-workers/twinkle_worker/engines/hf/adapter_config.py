"""An adapter_config.json as PEFT writes it: what of it is computed here, and a refusal of all that would be computed wrongly. Pure."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..adapter_routes import AdapterRefusal

_OFF = {
    "use_dora": "DoRA",
    "use_qalora": "QA-LoRA",
    "use_bdlora": "block-diagonal LoRA",
    "lora_bias": "a bias of its own",
    "modules_to_save": "whole modules beside its LoRA",
    "trainable_token_indices": "trained tokens",
    "target_parameters": "parameters that are no linear layers",
    "layer_replication": "replicated layers",
    "alora_invocation_tokens": "activation by tokens (aLoRA)",
    "arrow_config": "Arrow routing",
    "kasa_config": "KaSA",
    "monteclora_config": "MonteCLoRA",
    "ensure_weight_tying": "LoRA of the input embedding",
}
_PLAIN_STARTS = (None, True, False, "gaussian", "eva", "orthogonal")
"""Ways to start A and B that leave the base model's weights alone."""
_LITERAL = re.compile(r"\^?[\w.\-]+")


@dataclass(frozen=True, slots=True)
class LoraConfig:
    """rank, alpha: of layers that no pattern names; ranks, alphas: PEFT's patterns, the first that fits a layer counts"""

    rank: int
    alpha: float
    rslora: bool
    ranks: Mapping[str, int]
    alphas: Mapping[str, float]

    def rank_of(self, layer: str) -> int:
        """Columns of the A of a layer, by its name."""
        return next((rank for pattern, rank in self.ranks.items() if _fits(pattern, layer)), self.rank)

    def scale_of(self, layer: str) -> float:
        """Factor of the update: alpha / rank, or alpha / sqrt(rank) with rsLoRA."""
        alpha = next((alpha for pattern, alpha in self.alphas.items() if _fits(pattern, layer)), self.alpha)
        rank = self.rank_of(layer)
        return alpha / (math.sqrt(rank) if self.rslora else rank)


def parse_config(text: bytes) -> LoraConfig:
    """Raises AdapterRefusal for what is no LoRA, or more than one."""
    try:
        config: Any = json.loads(text)
    except ValueError as error:
        raise AdapterRefusal(f"adapter_config.json is not JSON: {error}; save the adapter again") from error
    if not isinstance(config, dict) or config.get("peft_type") != "LORA":
        kind = config.get("peft_type") if isinstance(config, dict) else None
        raise AdapterRefusal(
            f"expected an adapter of peft_type LORA but received {kind!r}; this engine serves LoRA only"
        )
    if config.get("bias", "none") != "none":
        raise AdapterRefusal(
            f"the adapter has bias {config['bias']!r}; train it with bias none, or merge it into the model"
        )
    for field, what in _OFF.items():
        if config.get(field):
            raise AdapterRefusal(
                f"the adapter has {what} (`{field}`), which this engine does not serve; merge it into the model"
            )
    start = config.get("init_lora_weights")
    if start not in _PLAIN_STARTS:
        raise AdapterRefusal(
            f"the adapter began with changed weights of the base model (init_lora_weights {start!r}); "
            "save it with PEFT's path_initial_model_for_weight_conversion"
        )
    return LoraConfig(
        rank=_rank("r", config.get("r")),
        alpha=_alpha("lora_alpha", config.get("lora_alpha")),
        rslora=bool(config.get("use_rslora", False)),
        ranks={name: _rank("rank_pattern", rank) for name, rank in _patterns(config, "rank_pattern")},
        alphas={name: _alpha("alpha_pattern", alpha) for name, alpha in _patterns(config, "alpha_pattern")},
    )


def _fits(pattern: str, layer: str) -> bool:
    if pattern.startswith("^"):
        return layer == pattern[1:]
    return layer == pattern or layer.endswith(f".{pattern}")


def _patterns(config: Mapping[str, Any], field: str) -> list[tuple[str, Any]]:
    found = config.get(field) or {}
    if not isinstance(found, dict):
        raise AdapterRefusal(f"expected an object for `{field}` of adapter_config.json but received {found!r}")
    for pattern in found:
        if _LITERAL.fullmatch(pattern) is None:
            raise AdapterRefusal(f"`{field}` names layers by the expression {pattern!r}; name each layer instead")
    return list(found.items())


def _rank(field: str, value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise AdapterRefusal(
            f"expected an integer of at least 1 for `{field}` of adapter_config.json but received {value!r}"
        )
    return value


def _alpha(field: str, value: Any) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
        raise AdapterRefusal(f"expected a number for `{field}` of adapter_config.json but received {value!r}")
    return float(value)
