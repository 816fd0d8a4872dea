"""What a caller says: how a run's adapter is made, how a step is taken, what is to be computed, and what comes back. Plain data."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from torch import Tensor

from .errors import INVALID, UNSUPPORTED, TrainingError

KINDS = ("attn", "mlp", "unembed")
"""The parts of a model that a run may train."""
STARTS = ("default", "gaussian")
"""How the A of a LoRA may start."""
OPTIMIZERS = ("adamw", "adam", "sgd")
"""What a step may be one of; the first where nothing is said."""


@dataclass(frozen=True, slots=True)
class LoraSpec:
    """The LoRA of one run.

    rank: columns of each A
    seed: of the random A and of dropout, -2**63 to 2**64 - 1; None draws one. Ranks that train the same run together must be given the
        same
    alpha: the update is alpha / rank * B A; with rslora, alpha / sqrt(rank) * B A
    dropout: share of the numbers of its input that are left out in passes with backward
    targets: last words of the names of linear layers, as PEFT's target_modules; None: those of the kinds that train_attn and so on name
    init: one of STARTS. A is uniform within 1 / sqrt(in), or normal with a deviation of 1 / rank; B is zero
    """

    rank: int
    seed: int | None = None
    train_attn: bool = True
    train_mlp: bool = True
    train_unembed: bool = True
    alpha: float = 32.0
    dropout: float = 0.0
    targets: tuple[str, ...] | None = None
    rslora: bool = False
    init: str = "default"

    def __post_init__(self) -> None:
        if self.targets is not None:  # JSON knows no tuples
            object.__setattr__(self, "targets", tuple(self.targets))

    @property
    def kinds(self) -> tuple[str, ...]:
        """Those of KINDS that are trained, without ``targets``."""
        return _kinds_of(self)

    @property
    def scale(self) -> float:
        """Of the update B A."""
        return self.alpha / (math.sqrt(self.rank) if self.rslora else self.rank)

    def check(self, max_rank: int) -> None:
        """Raise TrainingError unless every value is in range and something is trained."""
        if not _whole(self.rank) or not 1 <= self.rank <= max_rank:
            raise TrainingError(
                INVALID, f"expected a rank of 1 to {max_rank} but received {self.rank!r}", "lora_config.rank"
            )
        if self.seed is not None and not (_whole(self.seed) and -(2**63) <= self.seed < 2**64):
            raise TrainingError(INVALID, f"expected a seed of 64 bits but received {self.seed!r}", "lora_config.seed")
        if not _finite(self.alpha) or self.alpha <= 0:
            raise TrainingError(INVALID, f"expected a positive alpha but received {self.alpha!r}", "lora_config.alpha")
        if not _finite(self.dropout) or not 0 <= self.dropout < 1:
            raise TrainingError(
                INVALID,
                f"expected a dropout of 0 to less than 1 but received {self.dropout!r}",
                "lora_config.dropout",
            )
        if self.init not in STARTS:
            raise TrainingError(
                UNSUPPORTED,
                f"expected one of {', '.join(STARTS)} for the start of a LoRA but received {self.init!r}",
                "lora_config.init",
            )
        if self.targets is None:
            _check_kinds(self.kinds)


@dataclass(frozen=True, slots=True)
class FullSpec:
    """Which of the model's own parameters a full run trains. There is nothing to draw: it starts as the model is."""

    train_attn: bool = True
    train_mlp: bool = True
    train_unembed: bool = True

    @property
    def kinds(self) -> tuple[str, ...]:
        """Those of KINDS that are trained."""
        return _kinds_of(self)

    def check(self) -> None:
        """Raise TrainingError unless something is trained."""
        _check_kinds(self.kinds)


@dataclass(frozen=True, slots=True)
class StepParams:
    """One step of an optimizer. Defaults are those of Tinker, whose steps are all of AdamW.

    weight_decay: decoupled in adamw, added to the gradient (L2) in adam and sgd
    grad_clip_norm: the global norm that gradients are scaled down to; 0 leaves them alone
    kind: one of OPTIMIZERS, each as in torch.optim. sgd uses momentum, nesterov and dampening; the others the betas and eps
    gradient_scale: what the gradient is multiplied by before it is clipped
    norm_type: p of the norm, at least 1; 0: infinity, which JSON has no number for
    """

    learning_rate: float = 1e-4
    beta1: float = 0.9
    beta2: float = 0.95
    eps: float = 1e-12
    weight_decay: float = 0.0
    grad_clip_norm: float = 0.0
    kind: str = OPTIMIZERS[0]
    gradient_scale: float = 1.0
    norm_type: float = 2.0
    momentum: float = 0.0
    nesterov: bool = False
    dampening: float = 0.0

    def check(self) -> None:
        """Raise TrainingError unless every value is in range, and torch would take them together."""
        for name in (*_NUMBERS, *_BELOW_ONE):
            value = getattr(self, name)
            if not _finite(value) or value < 0 or (name in _BELOW_ONE and value >= 1):
                expected = "a number of 0 to less than 1" if name in _BELOW_ONE else "a finite number of at least 0"
                raise TrainingError(INVALID, f"expected {expected} but received {value!r}", f"adam_params.{name}")
        if self.kind not in OPTIMIZERS:
            raise TrainingError(
                UNSUPPORTED,
                f"expected one of {', '.join(OPTIMIZERS)} for the optimizer but received {self.kind!r}",
                "adam_params.kind",
            )
        check_norm(self.gradient_scale, self.norm_type)
        if self.kind != "sgd" and (self.momentum != 0 or self.nesterov or self.dampening != 0):
            raise TrainingError(
                INVALID,
                f"momentum, nesterov and dampening are options of sgd but the optimizer is {self.kind}; leave them out",
                "adam_params.momentum",
            )
        if self.nesterov and (self.momentum == 0 or self.dampening != 0):
            raise TrainingError(
                INVALID,
                "expected a momentum above 0 and a dampening of 0 for nesterov but received "
                f"{self.momentum!r} and {self.dampening!r}",
                "adam_params.nesterov",
            )


_NUMBERS = ("learning_rate", "eps", "weight_decay", "grad_clip_norm", "momentum", "dampening")
_BELOW_ONE = ("beta1", "beta2")


def check_norm(gradient_scale: float, norm_type: float) -> None:
    """Raise TrainingError unless a norm can be told of a gradient that is scaled so. See :class:`StepParams`."""
    if not _finite(gradient_scale) or gradient_scale < 0:
        raise TrainingError(
            INVALID,
            f"expected a finite gradient_scale of at least 0 but received {gradient_scale!r}",
            "adam_params.gradient_scale",
        )
    if not _finite(norm_type) or (norm_type != 0 and norm_type < 1):
        raise TrainingError(
            INVALID,
            f"expected a norm_type of at least 1, or 0 for infinity, but received {norm_type!r}",
            "adam_params.norm_type",
        )


@dataclass(frozen=True, slots=True)
class Datum:
    """One sequence.

    tokens: int32 or int64 [N]; position i predicts target i
    inputs: by name; target_tokens int64 or int32 [N], or [N, K] for cross_entropy; the others float32 of the same shape. Where embeddings
        are contrasted, anchor alone, float32 [1]
    """

    tokens: Tensor
    inputs: Mapping[str, Tensor]


@dataclass(frozen=True, slots=True)
class Work:
    """One forward or forward_backward of a run.

    loss: a name of losses.LOSSES, or with its prefix, of twinkle_losses
    config: numbers and texts of the loss by name; what is absent has the loss's default
    forward_only: computes all the same but leaves gradients alone
    """

    run: str
    datums: Sequence[Datum]
    loss: str
    config: Mapping[str, float | str] = field(default_factory=dict)
    forward_only: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a Work ended.

    outputs: per datum, in order: ``logprobs`` and, for cross_entropy, ``elementwise_loss`` (weighted), and where they were asked for,
        ``entropies``; float32 on the CPU in the shape of target_tokens. Or ``embeddings`` [H] alone
    metrics: by ``name:reduction``; ``loss:sum`` always
    error: then outputs and metrics are empty and the run's gradients are what they were
    """

    outputs: Sequence[dict[str, Tensor]] = ()
    metrics: Mapping[str, float] = field(default_factory=dict)
    error: TrainingError | None = None


def _kinds_of(spec: LoraSpec | FullSpec) -> tuple[str, ...]:
    return tuple(kind for kind in KINDS if getattr(spec, f"train_{kind}"))


def _check_kinds(kinds: tuple[str, ...]) -> None:
    if not kinds:
        raise TrainingError(
            INVALID, "the run would train nothing; set train_attn, train_mlp or train_unembed", "lora_config"
        )


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _finite(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
