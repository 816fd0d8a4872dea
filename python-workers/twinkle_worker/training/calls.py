"""The calls of the contract, done by a Trainer: bytes to tensors and back."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from pathlib import Path

import torch
from msgspec import structs
from torch import Tensor

from ..engines.base import Progress, RequestError
from ..engines.hf.loading import load_tokenizer
from ..engines.hf.options import parse_options
from ..engines.sampling_defaults import sampling_defaults
from ..protocol import (
    ClearGradientParams,
    CreateRunParams,
    EncodedConversations,
    EncodeParams,
    GradientNorm,
    GradientNormParams,
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
from .conversations import ConversationEncoder
from .errors import UNSUPPORTED, TrainingError
from .loading import open_trainer
from .spec import Datum, FullSpec, LoraSpec, Outcome, StepParams, Work
from .trainer import TrainerOptions

_DTYPES = {"float32": torch.float32, "int64": torch.int64}


class TrainerCalls:
    """passes: calls of ``compute`` so far; tokens: that went through the model in them"""

    def __init__(self, params: LoadParams, launch: LaunchSpec, progress: Progress) -> None:
        options = dict(params.options)
        trainer = TrainerOptions(shard=options.pop("train_shard", False) is True)
        self._options = parse_options(options)
        self._encoder: ConversationEncoder | None = None
        self._trainer = open_trainer(params.model, self._options, trainer, launch, progress)
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
            if params.targets is not None or params.dropout != 0:
                raise TrainingError(
                    UNSUPPORTED,
                    "a run of rank 0 trains the model itself: targets and dropout are a LoRA's; leave them out, or take a rank from 1 on",
                    "lora_config.rank",
                )
            parts = FullSpec(params.train_attn, params.train_mlp, params.train_unembed)
            self._trainer.create_full(params.run, parts)
            return
        spec = LoraSpec(
            rank=params.rank,
            seed=params.seed,
            train_attn=params.train_attn,
            train_mlp=params.train_mlp,
            train_unembed=params.train_unembed,
            alpha=params.alpha,
            dropout=params.dropout,
            targets=None if params.targets is None else tuple(params.targets),
            rslora=params.rslora,
            init=params.init,
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
        said = {name: value for name, value in structs.asdict(params).items() if name != "run" and value is not None}
        return TrainMetrics(metrics=self._trainer.optim_step(params.run, StepParams(**said)))

    def norm(self, params: GradientNormParams) -> GradientNorm:
        """What a step would clip. Raises TrainingError."""
        return GradientNorm(norm=self._trainer.gradient_norm(params.run, params.gradient_scale, params.norm_type))

    def clear(self, params: ClearGradientParams) -> None:
        """Forget a gradient. Raises TrainingError."""
        self._trainer.clear_gradient(params.run)

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

    def encode(self, params: EncodeParams) -> EncodedConversations:
        """Conversations as sequences. The tokenizer is loaded by the first. Raises RequestError."""
        if self._encoder is None:
            self._encoder = ConversationEncoder(load_tokenizer(self.card.model, self._options))
        return self._encoder.encode(params)

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
