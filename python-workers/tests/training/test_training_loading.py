"""A trainer from a model folder, by the loader of the transformers engine; and a few steps that learn."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from training_support import alone, good

from twinkle_worker.engines.base import LoadError
from twinkle_worker.engines.hf.options import parse_options
from twinkle_worker.training.loading import open_trainer
from twinkle_worker.training.spec import AdamParams, Datum, LoraSpec, Work
from twinkle_worker.training.trainer import TrainerOptions

DEMO = Path(__file__).resolve().parents[2] / "demo_model" / "model"


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_demo_model_learns_a_sentence(dtype: str) -> None:
    phases: list[str] = []
    options = parse_options({"device": "cpu", "dtype": dtype, "num_threads": 1})
    trainer = open_trainer(str(DEMO), options, TrainerOptions(), alone(), lambda phase, *_: phases.append(phase))
    assert {"config", "tokenizer", "weights", "warmup"} == set(phases)
    assert trainer.base.limits.max_model_len == 2048
    trainer.create("run", LoraSpec(rank=8, seed=1))
    tokens = torch.arange(100, 125, dtype=torch.int32)
    one = Work("run", [Datum(tokens[:-1], {"target_tokens": tokens[1:].long()})], "cross_entropy")
    losses = []
    for _ in range(8):
        losses.append(good(trainer.forward_backward([one]))[0].metrics["loss:sum"])
        trainer.optim_step("run", AdamParams(learning_rate=3e-3))
    assert losses[-1] < 0.5 * losses[0]


def test_a_model_that_is_not_there_is_refused() -> None:
    with pytest.raises(LoadError, match="does not exist"):
        open_trainer("./no-such-model", parse_options({"device": "cpu"}), TrainerOptions(), alone(), lambda *_: None)
