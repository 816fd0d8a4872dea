"""A small mixture of experts made here: the same tokens over our gang as in one process, and where experts can be split."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from gang_support import MODEL, Nursery, TestGang, greedy, make_engine
from vllm_support import launch

from twinkle_worker.engines.base import LoadError
from twinkle_worker.engines.vllm.building import build
from twinkle_worker.protocol import LoadParams

PROMPTS = ["The robot went to", "Once upon a time there was a", "Hello"]


@pytest.fixture(scope="module")
def mixture(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder with a Qwen3 mixture of 8 experts and the demo model's tokenizer."""
    import torch
    from transformers import Qwen3MoeConfig, Qwen3MoeForCausalLM

    folder = tmp_path_factory.mktemp("mixture")
    shape: dict[str, Any] = {
        **{"vocab_size": 3072, "hidden_size": 128, "intermediate_size": 256, "moe_intermediate_size": 64},
        **{"num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 64},
        **{"num_experts": 8, "num_experts_per_tok": 2, "max_position_embeddings": 512, "eos_token_id": 2},
    }
    torch.manual_seed(0)
    model = Qwen3MoeForCausalLM(Qwen3MoeConfig(**shape)).float()
    with torch.no_grad():
        for weight in model.parameters():
            if weight.dim() > 1:  # wide enough for clear winners: greedy tokens must not hang on the last bit of a sum
                weight.normal_(0, 0.2)
    model.save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(Path(MODEL) / name, folder / name)
    return str(folder)


def test_two_ranks_that_share_every_expert_give_the_tokens_of_one(nursery: Nursery, mixture: str) -> None:
    expected = greedy(make_engine(None, model=mixture), PROMPTS)
    assert len({token for tokens in expected for token in tokens}) > 5
    with TestGang(nursery, 2) as gang:
        assert greedy(make_engine(gang, model=mixture, tensor_parallel_size=2), PROMPTS) == expected


def test_experts_are_not_split_on_cpus_where_vllm_would_read_beyond_its_weights(mixture: str) -> None:
    """vLLM 0.32's CPU experts leave the map of experts out of the kernel's call: without the refusal both ranks end in native code."""
    options = {"tensor_parallel_size": 2, "enable_expert_parallel": True, "dtype": "float32", "max_model_len": 256}
    with pytest.raises(LoadError, match="expected GPUs or NPUs for `enable_expert_parallel`"):
        build(launch("engine", 2, 2), LoadParams(mixture, options), lambda *_: None)
