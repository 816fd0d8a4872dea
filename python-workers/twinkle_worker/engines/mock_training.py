"""Training without a model: runs are only remembered, losses only counted. For users' tests, and to measure what is around training."""

from __future__ import annotations

import json
from array import array
from math import prod
from pathlib import Path
from typing import Any

from ..protocol import (
    CreateRunParams,
    LoadRunParams,
    OptimStepParams,
    RunParams,
    SavedBytes,
    SaveRunParams,
    TrainFailure,
    TrainMetrics,
    TrainOutcome,
    TrainOutput,
    TrainPassParams,
    TrainPassResult,
    TrainWork,
)
from ..training.shares import share
from .base import RequestError

LOGPROB = -0.5
"""Of every target."""

CONFIG = "adapter_config.json"


class MockTraining:
    """Steps of each run, by its name. A checkpoint is a folder that says so, and that engine mock takes for an adapter."""

    def __init__(self, rank: int = 0, ranks: int = 1) -> None:
        """``rank`` of ``ranks`` that train together: each answers for its share of a work's datums."""
        self._steps: dict[str, int] = {}
        self._rank = rank
        self._ranks = ranks

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
            case SaveRunParams():
                return self._save(Path(params.folder), self._known(params.run))
            case LoadRunParams():
                self._steps[params.run] = _saved_steps(Path(params.folder), params.optimizer)
                return None
            case None:
                return None  # train_release: there is no memory to give back
            case _:
                raise RequestError("PROTOCOL", f"{type(params).__name__} does not train")

    def _save(self, folder: Path, steps: int) -> SavedBytes:
        content = json.dumps({"peft_type": "LORA", "mock_steps": steps}).encode()
        try:
            folder.mkdir()
            (folder / CONFIG).write_bytes(content)
        except OSError as error:
            raise RequestError("CHECKPOINT_NOT_WRITTEN", f"the checkpoint was not written: {error}") from error
        return SavedBytes(bytes=len(content))

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
        mine = share(work.lengths, self._rank, self._ranks)
        shapes = [shape for shape in targets.shapes[mine.start : mine.stop] if shape is not None]
        count = sum(prod(shape) for shape in shapes)
        logprobs = array("f", [LOGPROB]) * count
        outputs = [TrainOutput(name="logprobs", data=logprobs.tobytes())]
        return TrainOutcome(failure=None, shapes=shapes, outputs=outputs, metrics={"loss:sum": -LOGPROB * count})


def _saved_steps(folder: Path, optimizer: bool) -> int:
    try:
        steps = int(json.loads((folder / CONFIG).read_bytes())["mock_steps"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RequestError("CHECKPOINT_NOT_FOUND", f"{folder.name} is no checkpoint of engine mock") from error
    return steps if optimizer else 0
