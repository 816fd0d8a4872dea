"""What training scores and what sampling says of the same adapter: the gap that importance sampling rests on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from adapter_support import load_adapter
from hf_support import generate, request, some_tokens
from transformers import AutoModelForCausalLM

from twinkle_worker.engines.base import Engine
from twinkle_worker.training.base_model import BaseModel
from twinkle_worker.training.spec import Datum, LoraSpec, StepParams, Work
from twinkle_worker.training.trainer import Trainer

GAP = 1e-5
"""Of a log-probability, absolute: float32 sums of other lengths in another order."""


@pytest.mark.parametrize("kind", ["qwen3", "tied"])
@pytest.mark.parametrize(("rank", "unembed"), [(8, True), (5, False)])
def test_sampling_and_training_agree(
    model_folder: Callable[[str], Path],
    load: Callable[..., Engine],
    tmp_path: Path,
    kind: str,
    rank: int,
    unembed: bool,
) -> None:
    """A run that has taken steps, saved, loaded, sampled by: its own log-probabilities of the samples are those of the sampler."""
    model = AutoModelForCausalLM.from_pretrained(model_folder(kind), dtype=torch.float32)
    trainer = Trainer(BaseModel(model, "tiny", 512))
    trainer.create("run", LoraSpec(rank=rank, seed=3, train_unembed=unembed))
    for salt in range(3):
        trainer.forward_backward([work(some_tokens(30, salt), some_tokens(30, salt + 9))])
        trainer.optim_step("run", StepParams(learning_rate=2e-2))
    trainer.snapshot("run").write(tmp_path / "saved")
    engine = load(kind)
    load_adapter(engine, "saved", tmp_path / "saved")
    prompts = [some_tokens(length, length) for length in (3, 17, 40)]
    asked = [request(tokens, adapter="saved", temperature=1.0, seed=1, max_tokens=25, logprobs=0) for tokens in prompts]
    bare = generate(engine, *[request(tokens, temperature=1.0, seed=1, max_tokens=25) for tokens in prompts])
    worst = 0.0
    for tokens, outcome, other in zip(prompts, generate(engine, *asked), bare, strict=True):
        answer = outcome.only
        assert answer.tokens != other.only.tokens, "the training changed nothing"
        whole = [*tokens, *answer.tokens]
        [scored] = trainer.forward_backward([work(whole[:-1], whole[1:])])
        ours = scored.outputs[0]["logprobs"][len(tokens) - 1 :]
        theirs = torch.tensor([one.logprob for one in answer.logprobs])
        worst = max(worst, float((ours - theirs).abs().max()))
    assert worst <= GAP


def work(tokens: list[int], targets: list[int]) -> Any:
    """Cross-entropy of ``targets``."""
    inputs = {"target_tokens": torch.tensor(targets), "weights": torch.ones(len(targets))}
    return Work("run", [Datum(torch.tensor(tokens), inputs)], "cross_entropy")
