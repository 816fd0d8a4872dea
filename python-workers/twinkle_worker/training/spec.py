"""What a caller says: how a run's adapter is made, how a step is taken, what is to be computed, and what comes back. Plain data."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from torch import Tensor

from .errors import INVALID, TrainingError

KINDS = ("attn", "mlp", "unembed")
"""The parts of a model that a run may train."""


@dataclass(frozen=True, slots=True)
class LoraSpec:
    """The LoRA of one run.

    rank: columns of each A
    seed: of the random A, -2**63 to 2**64 - 1; None draws one. Ranks that train the same run together must be given the same
    alpha: the update is alpha / rank * B A
    """

    rank: int
    seed: int | None = None
    train_attn: bool = True
    train_mlp: bool = True
    train_unembed: bool = True
    alpha: float = 32.0

    @property
    def kinds(self) -> tuple[str, ...]:
        """Those of KINDS that are trained."""
        return _kinds_of(self)

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
class AdamParams:
    """One step of AdamW (decoupled weight decay, as torch.optim.AdamW). Defaults are those of Tinker.

    grad_clip_norm: the global L2 norm that gradients are scaled down to; 0 leaves them alone
    """

    learning_rate: float = 1e-4
    beta1: float = 0.9
    beta2: float = 0.95
    eps: float = 1e-12
    weight_decay: float = 0.0
    grad_clip_norm: float = 0.0

    def check(self) -> None:
        """Raise TrainingError unless every value is a number in range."""
        for name in self.__slots__:
            value = getattr(self, name)
            below_one = name in ("beta1", "beta2")
            if not _finite(value) or value < 0 or (below_one and value >= 1):
                expected = "a number of 0 to less than 1" if below_one else "a finite number of at least 0"
                raise TrainingError(INVALID, f"expected {expected} but received {value!r}", f"adam_params.{name}")


@dataclass(frozen=True, slots=True)
class Datum:
    """One sequence.

    tokens: int32 or int64 [N]; position i predicts target i
    inputs: by name; target_tokens int64 or int32 [N], or [N, K] for cross_entropy; the others float32 of the same shape
    """

    tokens: Tensor
    inputs: Mapping[str, Tensor]


@dataclass(frozen=True, slots=True)
class Work:
    """One forward or forward_backward of a run.

    loss: a name of losses.LOSSES
    config: numbers of the loss by name; what is absent has the loss's default
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

    outputs: per datum, in order: ``logprobs`` and, for cross_entropy, ``elementwise_loss`` (weighted); float32 on the CPU in the shape
        of target_tokens
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
