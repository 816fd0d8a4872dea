"""Writes a Qwen3 of random bfloat16 weights, with the demo's tokenizer grown to its vocabulary: speed does not depend on what weights say.

Usage: ``random_model.py SHAPE DEMO_FOLDER TARGET_FOLDER``; SHAPE is ``qwen3-0.6b`` or ``qwen3-1.7b``, or ``1m`` or ``0.5m``, whose steps are Python more than arithmetic.
Prints the number of parameters.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import torch
from transformers import AutoConfig, AutoModelForCausalLM

SHAPES = {
    "qwen3-0.6b": {
        "hidden_size": 1024,
        "intermediate_size": 3072,
        "num_hidden_layers": 28,
        "num_attention_heads": 16,
        "num_key_value_heads": 8,
        "head_dim": 128,
        "vocab_size": 151_936,
        "max_position_embeddings": 4096,
    },
    "qwen3-1.7b": {
        "hidden_size": 2048,
        "intermediate_size": 6144,
        "num_hidden_layers": 28,
        "num_attention_heads": 16,
        "num_key_value_heads": 8,
        "head_dim": 128,
        "vocab_size": 151_936,
        "max_position_embeddings": 4096,
    },
    "0.5m": {
        "hidden_size": 64,
        "intermediate_size": 256,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 16,
        "vocab_size": 4096,
        "max_position_embeddings": 2048,
    },
    "1m": {
        "hidden_size": 128,
        "intermediate_size": 384,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 32,
        "vocab_size": 4096,
        "max_position_embeddings": 2048,
    },
}


def grow_tokenizer(source: Path, target: Path, size: int) -> None:
    """Copy the tokenizer and give every id below ``size`` a text of its own."""
    shutil.copy(source / "tokenizer_config.json", target)
    tokenizer = json.loads((source / "tokenizer.json").read_text(encoding="utf-8"))
    vocabulary: dict[str, int] = tokenizer["model"]["vocab"]
    taken = {*vocabulary.values(), *(token["id"] for token in tokenizer["added_tokens"])}
    vocabulary.update({f"w{at}": at for at in range(size) if at not in taken})
    (target / "tokenizer.json").write_text(json.dumps(tokenizer), encoding="utf-8")


def main(shape: dict[str, int], source: Path, target: Path) -> None:
    """Make the model on the GPU when there is one: random numbers take longest."""
    target.mkdir(parents=True, exist_ok=True)
    config = AutoConfig.from_pretrained(source)
    layers = shape["num_hidden_layers"]
    for name, value in {**shape, "max_window_layers": layers, "layer_types": ["full_attention"] * layers}.items():
        setattr(config, name, value)
    torch.manual_seed(0)
    with torch.device("cuda" if torch.cuda.is_available() else "cpu"):
        model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    model.generation_config.eos_token_id = None
    model.save_pretrained(target)
    grow_tokenizer(source, target, config.vocab_size)
    print(f"figures:{sum(weight.numel() for weight in model.parameters())}")


if __name__ == "__main__":
    main(SHAPES[sys.argv[1]], Path(sys.argv[2]), Path(sys.argv[3]))
