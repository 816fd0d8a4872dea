"""Training without a model: the shapes and refusals that callers see."""

from __future__ import annotations

from array import array
from typing import Any

import pytest

from twinkle_worker.engines.base import RequestError, TrainingCalls
from twinkle_worker.engines.mock import MockEngine
from twinkle_worker.engines.mock_training import LOGPROB, MockTraining
from twinkle_worker.protocol import (
    CheckpointParams,
    CreateRunParams,
    OptimStepParams,
    RunParams,
    TrainInput,
    TrainPassParams,
    TrainWork,
)


def work(run: str, shapes: list[list[int] | None]) -> TrainWork:
    targets = TrainInput(name="target_tokens", dtype="int64", data=b"", shapes=shapes)
    return TrainWork(
        run=run, loss="cross_entropy", config={}, forward_only=False, tokens=b"", lengths=[], inputs=[targets]
    )


def step(run: str) -> OptimStepParams:
    return OptimStepParams(
        run=run, learning_rate=1.0, beta1=0.0, beta2=0.0, eps=0.0, weight_decay=0.0, grad_clip_norm=0.0
    )


@pytest.fixture
def training() -> MockTraining:
    made = MockTraining()
    params = CreateRunParams(run="a", rank=1, seed=None, train_attn=True, train_mlp=True, train_unembed=True)
    assert made.train(params) is None
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
    training.train(RunParams(run="a"))
    with pytest.raises(RequestError, match="no run a"):
        training.train(step("a"))


def test_what_cannot_be_is_said_work_by_work(training: MockTraining) -> None:
    works = [work("b", [[1]]), work("a", [None]), work("a", [[1]])]
    nobody, untargeted, sound = training.train(TrainPassParams(works=works)).outcomes
    assert "no run b" in nobody.failure.message
    assert "target_tokens" in untargeted.failure.message
    assert sound.failure is None


def test_there_is_nothing_to_save(training: MockTraining) -> None:
    with pytest.raises(RequestError, match="no weights"):
        training.train(CheckpointParams(run="a", folder="/nowhere", optimizer=True))
