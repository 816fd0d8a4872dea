"""The losses of the Twinkle API by name, and the check of their numbers. Clients of the other API are not told of them.

Node makes these works of a client's loss class, its arguments and its masks; so the formulas are the classes', and sums are by ``weights``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial

from .contrast import EmbeddingLoss, infonce, no_loss
from .errors import INVALID, UNKNOWN, TrainingError
from .losses import Loss
from .policy_losses import cispo, cross_entropy, grpo, sapo
from .sequence_losses import DPO_KINDS, SequenceLoss, cpo, dpo, gspo, nothing, orpo, simpo

PREFIX = "twinkle."


@dataclass(frozen=True, slots=True)
class Options:
    """How a work is computed, whatever its loss.

    temperature: that logits are divided by
    disable_lora: the base model answers, without the run's adapter
    entropies: that of each token's distribution is an output
    entropy_coef: the loss of a token is less by so many times its entropy
    """

    temperature: float = 1.0
    disable_lora: bool = False
    entropies: bool = False
    entropy_coef: float = 0.0

    @property
    def needs_entropies(self) -> bool:
        """For whatever reason."""
        return self.entropies or self.entropy_coef > 0


PLAIN = Options()


@dataclass(frozen=True, slots=True)
class _Entry:
    """config: numbers with their defaults; None: it may be absent"""

    loss: Loss
    config: Mapping[str, float | None]


_TOKENS = {"temperature": 1.0, "disable_lora": 0.0, "entropies": 0.0}
_POLICY = {**_TOKENS, "epsilon": 0.2, "beta": 0.0, "on_policy": 0.0, "entropy_coef": 0.0}
_CLIPPED = {**_POLICY, "epsilon_high": None}
_OF_POLICY = ("logprobs", "advantages")
_REFERENCE = ("ref_logprobs",)
_CONTRAST = {
    "temperature": 0.1,
    "disable_lora": 0.0,
    "use_batch": 1.0,
    "hard_negatives": None,
    "mask_fake_negative": 0.0,
    "fake_neg_margin": 0.1,
    "include_qq": 0.0,
    "include_dd": 0.0,
}
_GSPO = SequenceLoss(nothing, (*_OF_POLICY, "mask"), optional=_REFERENCE, function=gspo, pairs=False)
_PAIRS = SequenceLoss(nothing, ("mask",), weighted=False, function=simpo)
_DPO = replace(_PAIRS, optional=_REFERENCE, function=partial(dpo, next(iter(DPO_KINDS))))

_LOSSES: dict[str, _Entry] = {
    "cross_entropy": _Entry(Loss(cross_entropy, (), elementwise=True), {**_TOKENS, "dft": 0.0}),
    "grpo": _Entry(Loss(grpo, _OF_POLICY, optional=_REFERENCE), _CLIPPED),
    "sapo": _Entry(
        Loss(sapo, _OF_POLICY, optional=_REFERENCE),
        {**_TOKENS, "tau_pos": 1.0, "tau_neg": 1.0, "beta": 0.0, "on_policy": 0.0, "entropy_coef": 0.0},
    ),
    "cispo": _Entry(Loss(cispo, _OF_POLICY, optional=_REFERENCE), _POLICY),
    "gspo": _Entry(_GSPO, _CLIPPED),
    "dpo": _Entry(_DPO, {**_TOKENS, "beta": 0.1, "label_smoothing": 0.0, "reference_free": 0.0, "sft_weight": 0.0}),
    "simpo": _Entry(_PAIRS, {**_TOKENS, "beta": 2.5, "gamma": 0.5}),
    "cpo": _Entry(replace(_PAIRS, function=cpo), {**_TOKENS, "beta": 0.1, "bc_coef": 1.0}),
    "orpo": _Entry(replace(_PAIRS, function=orpo), {**_TOKENS, "lambda_orpo": 0.1}),
    "infonce": _Entry(
        EmbeddingLoss(nothing, ("anchor",), weighted=False, function=infonce, grouped=True),
        _CONTRAST,
    ),
    "embedding": _Entry(EmbeddingLoss(nothing, (), weighted=False, function=no_loss), {"disable_lora": 0.0}),
}

_FLAGS = {
    *("dft", "on_policy", "disable_lora", "entropies", "reference_free"),
    *("use_batch", "mask_fake_negative", "include_qq", "include_dd"),
}
_POSITIVE = {"temperature", "tau_pos", "tau_neg"}
_OPTIONS = ("disable_lora", "entropies", "entropy_coef")


def twinkle_loss(name: str, config: Mapping[str, float | str]) -> tuple[Loss, dict[str, float], Options]:
    """The loss with the inputs that it takes by ``config``, its numbers with defaults filled in, and the options. Raises TrainingError."""
    entry = _LOSSES.get(name.removeprefix(PREFIX))
    if entry is None:
        names = ", ".join(PREFIX + known for known in _LOSSES)
        raise TrainingError(INVALID, f"expected a loss of {names} but received {name!r}", "loss_fn")
    numbers = {key: value for key, value in entry.config.items() if value is not None}
    rest = dict(config)
    kind = rest.pop("loss_type", None) if name == PREFIX + "dpo" else None
    numbers.update({key: _number(name, entry, key, value) for key, value in rest.items()})
    loss = entry.loss if kind is None else _of_kind(entry.loss, kind)
    _check_together(numbers, next(iter(DPO_KINDS)) if kind is None else str(kind))
    chosen = {key: numbers[key] for key in _OPTIONS if key in numbers}
    # That of embeddings divides similarities: there are no logits.
    temperature = 1.0 if isinstance(loss, EmbeddingLoss) else numbers["temperature"]
    options = Options(
        temperature,
        bool(chosen.get("disable_lora")),
        bool(chosen.get("entropies")),
        chosen.get("entropy_coef", 0.0),
    )
    return _with_inputs(loss, numbers), numbers, options


def _number(name: str, entry: _Entry, key: str, value: float | str) -> float:
    field = f"loss_fn_config.{key}"
    if key not in entry.config:
        known = ", ".join((*entry.config, *(("loss_type",) if name == PREFIX + "dpo" else ())))
        raise TrainingError(UNKNOWN, f"{name} knows no option {key!r}; it knows {known}", field)
    expected = None
    if isinstance(value, str | bool) or not math.isfinite(value) or value < 0:
        expected = "a finite number of at least 0"
    elif key in _FLAGS and value not in (0, 1):
        expected = "0 or 1"
    elif key in _POSITIVE and value == 0:
        expected = "a positive number"
    elif key == "hard_negatives" and value != int(value):
        expected = "a whole number"
    if expected is not None:
        raise TrainingError(INVALID, f"expected {expected} for {key} but received {value!r}", field)
    return float(value)


def _of_kind(loss: Loss, kind: float | str) -> Loss:
    if kind not in DPO_KINDS:
        names = ", ".join(DPO_KINDS)
        raise TrainingError(
            INVALID, f"expected a loss_type of {names} but received {kind!r}", "loss_fn_config.loss_type"
        )
    return replace(loss, function=partial(dpo, str(kind)))


def _check_together(numbers: Mapping[str, float], kind: str) -> None:
    """Raise TrainingError for numbers that make no loss with each other."""
    if numbers.get("mask_fake_negative") and numbers["fake_neg_margin"] <= 0:
        raise TrainingError(
            INVALID,
            "mask_fake_negative needs a fake_neg_margin over 0, or it would leave the positives out, too",
            "loss_fn_config.fake_neg_margin",
        )
    if numbers.get("label_smoothing") and kind != "sigmoid":
        raise TrainingError(
            INVALID,
            f"label_smoothing goes with loss_type sigmoid, and not with {kind}",
            "loss_fn_config.label_smoothing",
        )
    if kind == "ipo" and numbers["beta"] == 0:
        raise TrainingError(INVALID, "loss_type ipo divides by beta, which must be over 0", "loss_fn_config.beta")


def _with_inputs(loss: Loss, numbers: Mapping[str, float]) -> Loss:
    """With or without log-probabilities of the old policy and of the reference, as the numbers want it."""
    required, optional = loss.required, loss.optional
    if numbers.get("on_policy"):
        required = tuple(name for name in required if name != "logprobs")
    # A policy is held near its reference by beta; to the losses of pairs, the reference is what a gain is counted from.
    referred = numbers["beta"] > 0 if "on_policy" in numbers else not numbers.get("reference_free")
    if optional and referred:
        required, optional = (*required, *optional), ()
    same = (required, optional) == (loss.required, loss.optional)
    return loss if same else replace(loss, required=required, optional=optional)
