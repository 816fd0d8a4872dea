"""The calls of the contract, done by a Trainer: bytes to tensors and back."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from pathlib import Path

import torch
from torch import Tensor

from ..engines.base import Progress, RequestError
from ..engines.hf.options import parse_options
from ..engines.sampling_defaults import sampling_defaults
from ..protocol import (
    CreateRunParams,
    LaunchSpec,
    LoadParams,
    LoadRunParams,
    ModelCard,
    OptimStepParams,
    RunParams,
    SavedBytes,
    SaveRunParams,
    TrainFailure,
    TrainInput,
    TrainMetrics,
    TrainOutcome,
    TrainOutput,
    TrainPassParams,
    TrainPassResult,
    TrainWork,
)
from .loading import open_trainer
from .spec import AdamParams, Datum, FullSpec, LoraSpec, Outcome, Work
from .trainer import TrainerOptions

_DTYPES = {"float32": torch.float32, "int64": torch.int64}


class TrainerCalls:
    """passes: calls of ``compute`` so far; tokens: that went through the model in them"""

    def __init__(self, params: LoadParams, launch: LaunchSpec, progress: Progress) -> None:
        options = dict(params.options)
        trainer = TrainerOptions(shard=options.pop("train_shard", False) is True)
        self._trainer = open_trainer(params.model, parse_options(options), trainer, launch, progress)
        self.passes = 0
        self.tokens = 0
        base = self._trainer.base
        self.card = ModelCard(
            engine="training",
            model=params.model,
            max_model_len=base.limits.max_model_len,
            max_num_seqs=1,
            vocab_size=base.limits.vocabulary,
            dtype=str(base.model.dtype).removeprefix("torch."),
            device=str(base.device),
            parameters=sum(weights.numel() for weights in base.model.parameters()),
            chat_template=False,
            routes=[],
            relay_chat=False,
            relay_completions=False,
            sampling_defaults=sampling_defaults({}),
            system_fingerprint=None,
            adapters=True,
        )

    def create(self, params: CreateRunParams) -> None:
        """A new run; of rank 0, one that trains the model's own parameters. Raises TrainingError."""
        if params.rank == 0:
            parts = FullSpec(params.train_attn, params.train_mlp, params.train_unembed)
            self._trainer.create_full(params.run, parts)
            return
        spec = LoraSpec(
            rank=params.rank,
            seed=params.seed,
            train_attn=params.train_attn,
            train_mlp=params.train_mlp,
            train_unembed=params.train_unembed,
        )
        self._trainer.create(params.run, spec)

    def drop(self, params: RunParams) -> None:
        """Forget a run."""
        self._trainer.drop(params.run)

    def compute(self, params: TrainPassParams) -> TrainPassResult:
        """Works of any runs; each has its own outcome. Raises RequestError where bytes and shapes do not fit."""
        works = [_work(work) for work in params.works]
        self.passes += 1
        self.tokens += sum(sum(work.lengths) for work in params.works)
        return TrainPassResult(outcomes=[_outcome(one) for one in self._trainer.forward_backward(works)])

    def step(self, params: OptimStepParams) -> TrainMetrics:
        """One step of a run. Raises TrainingError."""
        adam = AdamParams(
            learning_rate=params.learning_rate,
            beta1=params.beta1,
            beta2=params.beta2,
            eps=params.eps,
            weight_decay=params.weight_decay,
            grad_clip_norm=params.grad_clip_norm,
        )
        return TrainMetrics(metrics=dict(self._trainer.optim_step(params.run, adam)))

    def save(self, params: SaveRunParams) -> SavedBytes:
        """Write a run to a folder that does not exist yet. Raises TrainingError, and then nothing is there."""
        trainer = self._trainer
        snapshot = (
            trainer.hand_over(params.run) if params.handed_over else trainer.snapshot(params.run, params.optimizer)
        )
        return SavedBytes(bytes=snapshot.write(Path(params.folder)))

    def load(self, params: LoadRunParams) -> None:
        """Make or replace a run by what was saved. Raises TrainingError, and then it is as before."""
        self._trainer.load(params.run, Path(params.folder), params.optimizer)

    def release(self) -> None:
        """Give back what the allocator keeps of the device and nobody uses: others have their turn on it."""
        if self._trainer.base.device.type == "cuda":
            torch.cuda.empty_cache()


def _tensor(data: bytes, dtype: torch.dtype) -> Tensor:
    # A copy: the frame's bytes are read-only, and torch wants to be able to write.
    return torch.frombuffer(bytearray(data), dtype=dtype) if data else torch.empty(0, dtype=dtype)


def _work(work: TrainWork) -> Work:
    tokens = _tensor(work.tokens, torch.int32)
    if len(tokens) != sum(work.lengths):
        raise RequestError("PROTOCOL", f"{len(tokens)} tokens for lengths of {sum(work.lengths)}")
    inputs: list[dict[str, Tensor]] = [{} for _ in work.lengths]
    for one in work.inputs:
        for mine, values in zip(inputs, _values(one), strict=True):
            if values is not None:
                mine[one.name] = values
    parts = tokens.split(work.lengths)
    datums = [Datum(tokens=part, inputs=mine) for part, mine in zip(parts, inputs, strict=True)]
    return Work(run=work.run, datums=datums, loss=work.loss, config=work.config, forward_only=work.forward_only)


def _values(one: TrainInput) -> Iterator[Tensor | None]:
    """Of each datum."""
    dtype = _DTYPES.get(one.dtype)
    if dtype is None:
        raise RequestError("PROTOCOL", f"input {one.name!r} has dtype {one.dtype!r}; one of {', '.join(_DTYPES)}")
    flat = _tensor(one.data, dtype)
    at = 0
    for shape in one.shapes:
        if shape is None:
            yield None
            continue
        size = prod(shape)
        yield flat[at : at + size].view(shape)
        at += size


def _outcome(outcome: Outcome) -> TrainOutcome:
    if outcome.error is not None:
        failure = TrainFailure(message=str(outcome.error), user=outcome.error.user)
        return TrainOutcome(failure=failure, shapes=[], outputs=[], metrics={})
    names = list(outcome.outputs[0]) if outcome.outputs else []
    outputs = [
        TrainOutput(name=name, data=b"".join(_bytes(datum[name]) for datum in outcome.outputs)) for name in names
    ]
    shapes = [list(datum[names[0]].shape) for datum in outcome.outputs] if names else []
    return TrainOutcome(failure=None, shapes=shapes, outputs=outputs, metrics=dict(outcome.metrics))


def _bytes(values: Tensor) -> bytes:
    return values.contiguous().numpy().tobytes()
