"""Training without a model: runs are only remembered, losses only counted. For users' tests, and to measure what is around training."""

from __future__ import annotations

from array import array
from math import prod
from typing import Any

from ..protocol import (
    CheckpointParams,
    CreateRunParams,
    OptimStepParams,
    RunParams,
    TrainFailure,
    TrainMetrics,
    TrainOutcome,
    TrainOutput,
    TrainPassParams,
    TrainPassResult,
    TrainWork,
)
from .base import RequestError

LOGPROB = -0.5
"""Of every target."""


class MockTraining:
    """Steps of each run, by its name. Checkpoints are refused: there is nothing to save."""

    def __init__(self) -> None:
        self._steps: dict[str, int] = {}

    def train(self, params: Any) -> Any:
        """See ``base.TrainingCalls``."""
        match params:
            case CreateRunParams():
                self._steps[params.run] = 0
                return None
            case RunParams():
                self._steps.pop(params.run, None)
                return None
            case TrainPassParams():
                return TrainPassResult(outcomes=[self._outcome(work) for work in params.works])
            case OptimStepParams():
                self._steps[params.run] = self._known(params.run) + 1
                return TrainMetrics(metrics={"step:max": float(self._steps[params.run])})
            case CheckpointParams():
                raise RequestError("UNSUPPORTED_PARAMETER", "the mock engine has no weights to save or load")
            case _:
                raise RequestError("PROTOCOL", f"{type(params).__name__} does not train")

    def _known(self, run: str) -> int:
        if run not in self._steps:
            raise RequestError("RUN_NOT_FOUND", f"there is no run {run} here; it was dropped or never made")
        return self._steps[run]

    def _outcome(self, work: TrainWork) -> TrainOutcome:
        targets = next((one for one in work.inputs if one.name == "target_tokens"), None)
        if work.run not in self._steps or targets is None or None in targets.shapes:
            problem = (
                "every datum needs target_tokens" if work.run in self._steps else f"there is no run {work.run} here"
            )
            failure = TrainFailure(message=problem, user=True)
            return TrainOutcome(failure=failure, shapes=[], outputs=[], metrics={})
        shapes = [shape for shape in targets.shapes if shape is not None]
        count = sum(prod(shape) for shape in shapes)
        logprobs = array("f", [LOGPROB]) * count
        outputs = [TrainOutput(name="logprobs", data=logprobs.tobytes())]
        return TrainOutcome(failure=None, shapes=shapes, outputs=outputs, metrics={"loss:sum": -LOGPROB * count})
