"""The losses: each a sum over tokens of a function of a token's log-probability, with its derivative written out.

Written out, because in clipped losses autograd makes NaN of 0 x infinity, and because a pass can then go back through the head at once.
lp: log-probability of the target; q: that of the sampler; A: advantage; r = exp(lp - q). Formulas are those of the Tinker documentation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

Inputs = Mapping[str, Tensor]
Numbers = Mapping[str, float]
Terms = tuple[Tensor, Tensor]
"""Loss of each token, and its derivative by the token's log-probability; float32 in the shape of lp."""


@dataclass(frozen=True, slots=True)
class Loss:
    """A loss.

    required: inputs besides target_tokens; ``weights`` may be given too, as factors, where it is ``weighted``
    config: numbers that it takes, with their defaults; None: must be given
    many: takes several targets per token, [N, K]
    optional: inputs that may be given besides
    elementwise: whether callers are given the loss of each token
    """

    terms: Callable[[Tensor, Inputs, Numbers], Terms]
    required: tuple[str, ...] = ("logprobs", "advantages")
    config: Mapping[str, float | None] | None = None
    many: bool = False
    optional: tuple[str, ...] = ()
    weighted: bool = True
    elementwise: bool = False

    @property
    def inputs(self) -> tuple[str, ...]:
        """All inputs that it takes."""
        return ("target_tokens", *self.required, *self.optional, *(("weights",) if self.weighted else ()))

    def apply(self, lp: Tensor, inputs: Inputs, numbers: Numbers) -> Terms:
        """Terms of float32 log-probabilities ``lp`` [n, K], weighted; inputs are float32 [n, K]."""
        losses, slopes = self.terms(lp, inputs, numbers)
        weights = inputs.get("weights")
        return (losses, slopes) if weights is None else (losses * weights, slopes * weights)


def _cross_entropy(lp: Tensor, _inputs: Inputs, _numbers: Numbers) -> Terms:
    """-lp"""
    return -lp, torch.full_like(lp, -1.0)


def _importance_sampling(lp: Tensor, inputs: Inputs, _numbers: Numbers) -> Terms:
    """-r A"""
    term = -(lp - inputs["logprobs"]).exp() * inputs["advantages"]
    return term, term


def _ppo(lp: Tensor, inputs: Inputs, numbers: Numbers) -> Terms:
    """-min(r A, clip(r) A): no slope where the clipped side is the smaller."""
    ratio = (lp - inputs["logprobs"]).exp()
    plain = ratio * inputs["advantages"]
    clipped = ratio.clamp(numbers["clip_low_threshold"], numbers["clip_high_threshold"]) * inputs["advantages"]
    return -torch.minimum(plain, clipped), torch.where(plain <= clipped, -plain, 0.0)


def _cispo(lp: Tensor, inputs: Inputs, numbers: Numbers) -> Terms:
    """-clip(r) lp A, with clip(r) held constant."""
    ratio = (lp - inputs["logprobs"]).exp()
    slope = -ratio.clamp(numbers["clip_low_threshold"], numbers["clip_high_threshold"]) * inputs["advantages"]
    return slope * lp, slope


def _dro(lp: Tensor, inputs: Inputs, numbers: Numbers) -> Terms:
    """-(lp A - beta / 2 (lp - q)^2)"""
    gap, beta = lp - inputs["logprobs"], numbers["beta"]
    return 0.5 * beta * gap * gap - lp * inputs["advantages"], beta * gap - inputs["advantages"]


LOSSES: dict[str, Loss] = {
    "cross_entropy": Loss(_cross_entropy, required=(), many=True, elementwise=True),
    "importance_sampling": Loss(_importance_sampling),
    "ppo": Loss(_ppo, config={"clip_low_threshold": 0.8, "clip_high_threshold": 1.2}),
    # Older texts say 0.8 and 1.2. The newest ones, which clients of today are written by, say 0 and 4: it is the upper bound that
    # makes CISPO, and a lower one of 0.8 would give tokens a weight that they have lost.
    "cispo": Loss(_cispo, config={"clip_low_threshold": 0.0, "clip_high_threshold": 4.0}),
    # No default is stated anywhere, and a guessed one would change what is learned without a word.
    "dro": Loss(_dro, config={"beta": None}),
}
"""By the name of the wire."""

KNOWN_ELSEWHERE = ("gspo", "stable_reinforce", "custom")
"""Names that clients may send and whose formulas are not public."""
