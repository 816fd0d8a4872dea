"""PEFT adapters of random weights, strong enough to change every answer. Knows no vLLM; GPU tests make theirs with it, too."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import save_file


def write_adapter(model: str, folder: Path, seed: int, rank: int, head: bool = False) -> str:
    """An adapter of the attention's output layers of ``model``, a folder; head: and of its own. Returns its folder, which is made."""
    config = json.loads((Path(model) / "config.json").read_text(encoding="utf-8"))
    width, heads = config["hidden_size"], config["num_attention_heads"] * config["head_dim"]
    generator = torch.Generator().manual_seed(seed)
    weights: dict[str, torch.Tensor] = {}
    for layer in range(config["num_hidden_layers"]):
        name = f"base_model.model.model.layers.{layer}.self_attn.o_proj"
        weights[f"{name}.lora_A.weight"] = torch.randn(rank, heads, generator=generator)
        weights[f"{name}.lora_B.weight"] = torch.randn(width, rank, generator=generator)
    if head:
        weights["base_model.model.lm_head.lora_A.weight"] = torch.randn(rank, width, generator=generator)
        weights["base_model.model.lm_head.lora_B.weight"] = torch.randn(config["vocab_size"], rank, generator=generator)
    folder.mkdir(parents=True)
    save_file(weights, folder / "adapter_model.safetensors")
    described = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "r": rank,
        "lora_alpha": rank,
        "target_modules": ["o_proj", *(["lm_head"] if head else [])],
        "bias": "none",
        "base_model_name_or_path": model,
    }
    (folder / "adapter_config.json").write_text(json.dumps(described), encoding="utf-8")
    return str(folder)
