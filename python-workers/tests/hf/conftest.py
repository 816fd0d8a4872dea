"""Tiny random models with a byte-level tokenizer trained on the spot, and engines that have loaded them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hf_support import VOCABULARY
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    AutoModelForCausalLM,
    GPTNeoXConfig,
    LlamaConfig,
    OPTConfig,
    PreTrainedTokenizerFast,
    Qwen3Config,
)

from twinkle_worker.engines.base import Engine
from twinkle_worker.engines.hf import create_engine
from twinkle_worker.protocol import LoadParams

# The models are tiny and tests share cores with others: one thread is the fastest.
torch.set_num_threads(1)

DEVICE = os.environ.get("TWINKLE_TEST_DEVICE", "cpu")
"""Where engines of the fixture ``load`` run; what they are compared with always runs on the CPU."""

TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
CORPUS = [
    "the quick brown fox jumps over the lazy dog",
    "héllo wörld",
    "日本語のテキスト",
    "a 😀 b 👩‍👩‍👧 c",
    "  spaces\n\tand lines",
]
SIZE = {"vocab_size": VOCABULARY, "hidden_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
IDS = {"bos_token_id": None, "eos_token_id": 2, "pad_token_id": 0, "initializer_range": 0.25}
CONFIGS: dict[str, Callable[[], Any]] = {
    "qwen3": lambda: Qwen3Config(
        **SIZE, **IDS, num_key_value_heads=2, head_dim=16, intermediate_size=96, max_position_embeddings=512
    ),
    "tied": lambda: Qwen3Config(
        **{**SIZE, **IDS, "num_attention_heads": 2},
        num_key_value_heads=1,
        head_dim=16,
        intermediate_size=96,
        max_position_embeddings=512,
        tie_word_embeddings=True,
    ),
    "llama": lambda: LlamaConfig(
        **SIZE, **IDS, num_key_value_heads=4, intermediate_size=96, max_position_embeddings=512
    ),
    "gpt_neox": lambda: GPTNeoXConfig(
        **SIZE, **IDS, intermediate_size=96, max_position_embeddings=512, use_parallel_residual=True
    ),
    "opt": lambda: OPTConfig(
        **{**SIZE, **IDS, "initializer_range": 0.0},
        init_std=0.25,
        ffn_dim=96,
        max_position_embeddings=512,
        word_embed_proj_dim=48,
        dropout=0.0,
    ),
}
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]


def save_tokenizer(folder: Path) -> None:
    """A byte-level BPE tokenizer of at most VOCABULARY tokens; ids 0 to 2 are special, 2 ends a message."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=SPECIAL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(CORPUS * 8, trainer)
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|im_end|>", pad_token="<|endoftext|>")
    fast.add_special_tokens({"additional_special_tokens": ["<|im_start|>"]})
    fast.chat_template = TEMPLATE
    fast.save_pretrained(folder)


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Folder of a tiny random model of an architecture of CONFIGS, made once."""
    made: dict[str, Path] = {}

    def make(kind: str) -> Path:
        if kind not in made:
            folder = tmp_path_factory.mktemp(kind)
            torch.manual_seed(7)
            AutoModelForCausalLM.from_config(CONFIGS[kind]()).save_pretrained(folder)
            save_tokenizer(folder)
            made[kind] = folder
        return made[kind]

    return make


@pytest.fixture
def load(model_folder: Callable[[str], Path]) -> Iterator[Callable[..., Engine]]:
    """``load(kind, **options)``: a fresh engine, closed after the test."""
    engines: list[Engine] = []

    def make(kind: str = "qwen3", **options: Any) -> Engine:
        engine = create_engine()
        engines.append(engine)
        engine.load(LoadParams(model=str(model_folder(kind)), options={"device": DEVICE, **options}), lambda *_: None)
        return engine

    yield make
    for engine in engines:
        engine.close()


@pytest.fixture(scope="session")
def reference(model_folder: Callable[[str], Path]) -> Callable[[str], Any]:
    """The same model as transformers runs it by itself."""
    made: dict[str, Any] = {}

    def make(kind: str) -> Any:
        if kind not in made:
            made[kind] = (
                AutoModelForCausalLM.from_pretrained(model_folder(kind), dtype=torch.float32)
                .eval()
                .requires_grad_(False)
            )
        return made[kind]

    return make
