"""Training without a model: the shapes and refusals that callers see."""

from __future__ import annotations

from array import array
from math import prod
from pathlib import Path
from typing import Any

import msgspec
import pytest

from twinkle_worker.engines.base import RequestError, TrainingCalls
from twinkle_worker.engines.mock import MockEngine
from twinkle_worker.engines.mock_training import EMBEDDING, ENTROPY, LOGPROB, MockTraining
from twinkle_worker.protocol import (
    ClearGradientParams,
    CreateRunParams,
    GradientNorm,
    GradientNormParams,
    LoadRunParams,
    OptimStepParams,
    RunParams,
    SaveRunParams,
    TrainInput,
    TrainPassParams,
    TrainWork,
)

PARTS = {"train_attn": True, "train_mlp": True, "train_unembed": True}
PLAIN_LORA = {"alpha": 32, "dropout": 0, "targets": None, "rslora": False, "init": "default"}
CREATE = CreateRunParams(run="a", rank=1, seed=None, **PARTS, **PLAIN_LORA)


def work(run: str, shapes: list[list[int] | None]) -> TrainWork:
    targets = TrainInput(name="target_tokens", dtype="int64", data=b"", shapes=shapes)
    lengths = [prod(shape or [1]) for shape in shapes]
    return TrainWork(
        run=run, loss="cross_entropy", config={}, forward_only=False, tokens=b"", lengths=lengths, inputs=[targets]
    )


def step(run: str) -> OptimStepParams:
    return OptimStepParams(
        run=run, learning_rate=1.0, beta1=0.0, beta2=0.0, eps=0.0, weight_decay=0.0, grad_clip_norm=0.0
    )


@pytest.fixture
def training() -> MockTraining:
    made = MockTraining()
    assert made.train(CREATE) is None
    return made


def test_the_engine_trains() -> None:
    engine: Any = MockEngine.__new__(MockEngine)
    assert isinstance(engine, TrainingCalls)


def test_outputs_have_the_shapes_of_the_targets(training: MockTraining) -> None:
    result = training.train(TrainPassParams(works=[work("a", [[3], [2, 4]])]))
    (outcome,) = result.outcomes
    assert outcome.shapes == [[3], [2, 4]]
    assert array("f", outcome.outputs[0].data).tolist() == [LOGPROB] * 11
    assert outcome.metrics == {"loss:sum": -LOGPROB * 11}


def test_steps_are_counted_by_run(training: MockTraining) -> None:
    assert [training.train(step("a")).metrics["step:max"] for _ in range(3)] == [1.0, 2.0, 3.0]
    assert training.train(None) is None  # nothing to give back, and nothing lost
    training.train(RunParams(run="a"))
    with pytest.raises(RequestError, match="no run a"):
        training.train(step("a"))


def test_a_gradient_that_there_is_not_has_a_norm_of_zero_and_can_be_forgotten(training: MockTraining) -> None:
    for run in ("a", "b"):
        norm, forget = GradientNormParams(run=run, gradient_scale=1, norm_type=2), ClearGradientParams(run=run)
        if run == "a":
            assert (training.train(norm), training.train(forget)) == (GradientNorm(norm=0), None)
            continue
        for params in (norm, forget):
            with pytest.raises(RequestError, match="no run b"):
                training.train(params)


def test_what_cannot_be_is_said_work_by_work(training: MockTraining) -> None:
    works = [work("b", [[1]]), work("a", [None]), work("a", [[1]])]
    nobody, untargeted, sound = training.train(TrainPassParams(works=works)).outcomes
    assert "no run b" in nobody.failure.message
    assert "target_tokens" in untargeted.failure.message
    assert sound.failure is None


def save(run: str, folder: Path, optimizer: bool = True) -> SaveRunParams:
    return SaveRunParams(run=run, folder=str(folder), optimizer=optimizer, handed_over=False)


def test_a_run_goes_on_from_what_was_saved(training: MockTraining, tmp_path: Path) -> None:
    training.train(step("a"))
    saved = training.train(save("a", tmp_path / "one"))
    assert saved.bytes == (tmp_path / "one" / "adapter_config.json").stat().st_size
    for run, optimizer, steps in (("b", True, 2.0), ("c", False, 1.0)):
        training.train(LoadRunParams(run=run, folder=str(tmp_path / "one"), optimizer=optimizer))
        assert training.train(step(run)).metrics["step:max"] == steps


def test_what_is_not_there_is_neither_saved_nor_loaded(training: MockTraining, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="no run b"):
        training.train(save("b", tmp_path / "one"))
    with pytest.raises(RequestError, match="not written"):
        training.train(save("a", tmp_path / "none" / "one"))
    with pytest.raises(RequestError, match="no checkpoint"):
        training.train(LoadRunParams(run="b", folder=str(tmp_path), optimizer=True))


def test_ranks_answer_for_their_shares() -> None:
    lengths = [[3], [2], [5], [4]]
    parts = []
    for rank in range(2):
        made = MockTraining(rank, 2)
        made.train(CREATE)
        parts.append(made.train(TrainPassParams(works=[work("a", lengths)])).outcomes[0])
    assert [shape for part in parts for shape in part.shapes] == lengths
    assert all(part.shapes for part in parts)


def twinkle(loss: str, shapes: list[list[int] | None], **config: float) -> TrainWork:
    return msgspec.structs.replace(work("a", shapes), loss=loss, config=config)


def test_losses_of_the_other_api_answer_by_token_too(training: MockTraining) -> None:
    works = [twinkle("twinkle.dpo", [[3], [2]]), twinkle("twinkle.grpo", [[2]], entropies=1)]
    pairs, sampled = training.train(TrainPassParams(works=works)).outcomes
    assert [(one.name, len(one.data)) for one in pairs.outputs] == [("logprobs", 20)]
    assert [one.name for one in sampled.outputs] == ["logprobs", "entropies"]
    assert array("f", sampled.outputs[1].data).tolist() == [ENTROPY] * 2


@pytest.mark.parametrize("loss", ["twinkle.infonce", "twinkle.embedding"])
def test_embeddings_need_no_targets(training: MockTraining, loss: str) -> None:
    sent = msgspec.structs.replace(twinkle(loss, [[3], [2]]), inputs=[])
    (outcome,) = training.train(TrainPassParams(works=[sent])).outcomes
    assert outcome.failure is None
    assert outcome.shapes == [[len(EMBEDDING)]] * 2
    assert array("f", outcome.outputs[0].data).tolist() == pytest.approx([*EMBEDDING, *EMBEDDING])
    assert [one.name for one in outcome.outputs] == ["embeddings"]
