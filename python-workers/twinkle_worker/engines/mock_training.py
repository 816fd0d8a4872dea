"""Training without a model: runs are only remembered, losses only counted. For users' tests, and to measure what is around training."""

from __future__ import annotations

import json
from array import array
from math import prod
from pathlib import Path
from typing import Any

from ..protocol import (
    ClearGradientParams,
    CreateRunParams,
    EncodedConversations,
    EncodeParams,
    GradientNorm,
    GradientNormParams,
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

ENTROPY = 0.25
"""Of every token's distribution."""

EMBEDDING = (0.6, 0.0, 0.8, 0.0)
"""Of every datum."""

_EMBEDDING_LOSSES = ("twinkle.infonce", "twinkle.embedding")

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
            case GradientNormParams():
                self._known(params.run)
                return GradientNorm(norm=0.0)
            case ClearGradientParams():
                self._known(params.run)
                return None
            case EncodeParams():
                return _encoded(params)
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
        if work.run not in self._steps:
            return _failed(f"there is no run {work.run} here")
        mine = share(work.lengths, self._rank, self._ranks)
        if work.loss in _EMBEDDING_LOSSES:
            data = array("f", EMBEDDING) * len(mine)
            loss = 0.0 if work.loss == "twinkle.embedding" else -LOGPROB * len(mine)
            outputs = [TrainOutput(name="embeddings", data=data.tobytes())]
            shapes = [[len(EMBEDDING)] for _ in mine]
            return TrainOutcome(failure=None, shapes=shapes, outputs=outputs, metrics={"loss:sum": loss})
        targets = next((one for one in work.inputs if one.name == "target_tokens"), None)
        if targets is None or None in targets.shapes:
            return _failed("every datum needs target_tokens")
        shapes = [shape for shape in targets.shapes[mine.start : mine.stop] if shape is not None]
        count = sum(prod(shape) for shape in shapes)
        outputs = [TrainOutput(name="logprobs", data=(array("f", [LOGPROB]) * count).tobytes())]
        if work.config.get("entropies") == 1:
            outputs.append(TrainOutput(name="entropies", data=(array("f", [ENTROPY]) * count).tobytes()))
        return TrainOutcome(failure=None, shapes=shapes, outputs=outputs, metrics={"loss:sum": -LOGPROB * count})


def _failed(problem: str) -> TrainOutcome:
    failure = TrainFailure(message=problem, user=True)
    return TrainOutcome(failure=failure, shapes=[], outputs=[], metrics={})


def _saved_steps(folder: Path, optimizer: bool) -> int:
    try:
        steps = int(json.loads((folder / CONFIG).read_bytes())["mock_steps"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RequestError("CHECKPOINT_NOT_FOUND", f"{folder.name} is no checkpoint of engine mock") from error
    return steps if optimizer else 0


def _encoded(params: EncodeParams) -> EncodedConversations:
    """Each byte is a token; what assistants say counts."""
    tokens, labels, lengths = array("i"), array("i"), list[int]()
    for conversation in params.conversations:
        text = bytearray()
        counts = bytearray()
        for message in conversation.get("messages") or ():
            head, said = f"{message.get('role')}: ".encode(), f"{message.get('content')}\n".encode()
            text += head + said
            counts += bytes(len(head)) + bytes([message.get("role") == "assistant"]) * len(said)
        tokens.extend(text)
        labels.extend(after if counted else -100 for after, counted in zip(text[1:], counts[1:], strict=True))
        labels.append(-100)
        lengths.append(len(text))
    return EncodedConversations(tokens=tokens.tobytes(), labels=labels.tobytes(), lengths=lengths)
