"""Losses of the Twinkle API that are functions of the log-probabilities of whole sequences; autograd makes their slopes.

Those of pairs are normalised as the clients' own classes do it: a mean over the pairs of the work, and where there is a likelihood of
chosen answers, a mean over all their tokens. So they take no weights. ``mask`` is 1 where a token counts.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from .losses import Inputs, Loss, Numbers, Terms
from .policy_losses import FARTHEST, clip_bounds, reference_gap


@dataclass(frozen=True, slots=True)
class Sequences:
    """Whole sequences end to end.

    lp: log-probabilities of the targets, float32 [T]
    inputs: float32 [T] by name; lengths: tokens of each sequence
    """

    lp: Tensor
    inputs: Inputs
    lengths: Sequence[int]

    def sums(self, values: Tensor) -> Tensor:
        """Of [T], over the tokens that count: one for each sequence."""
        counted = values * self.inputs["mask"]
        return torch.stack([part.sum() for part in counted.split(list(self.lengths))])

    def means(self, values: Tensor) -> Tensor:
        """As ``sums``; 0 where no token counts."""
        return self.sums(values) / self.sums(torch.ones_like(values)).clamp(min=1.0)

    def spread(self, values: Tensor) -> Tensor:
        """Of each sequence, to each of its tokens."""
        return values.repeat_interleave(torch.tensor(self.lengths, device=values.device))

    def at_pairs(self, values: Tensor) -> Tensor:
        """[T], with the value of a pair at its first token and 0 elsewhere."""
        firsts = torch.tensor((0, *self.lengths[:-1]), device=values.device).cumsum(0)[::2]
        return torch.zeros_like(self.lp).scatter(0, firsts, values)


@dataclass(frozen=True, slots=True, kw_only=True)
class SequenceLoss(Loss):
    """function: losses at the tokens [T], whose sum is the loss; given all tokens of a sequence, or of a pair, at once
    pairs: whether datums 2i and 2i + 1 belong together
    """

    function: Callable[[Sequences, Numbers], Tensor]
    pairs: bool = True


def nothing(lp: Tensor, _inputs: Inputs, _numbers: Numbers) -> Terms:
    """No loss of a single token."""
    return torch.zeros_like(lp), torch.zeros_like(lp)


def pair_totals(masks: Sequence[Tensor]) -> dict[str, float]:
    """What the losses of pairs are divided by, from the masks of a work: ``pairs``, and ``chosen_tokens``, at least 1."""
    chosen = sum(float(mask.sum()) for mask in masks[::2])
    return {"pairs": float(len(masks) // 2), "chosen_tokens": max(chosen, 1.0)}


def gspo(data: Sequences, numbers: Numbers) -> Tensor:
    """As GRPO, where r is exp of the mean log-ratio of the sequence. Normalised by ``weights``, as losses of tokens are."""
    lp, inputs = data.lp, data.inputs
    old = lp.detach() if numbers["on_policy"] else inputs["logprobs"]
    ratio = data.spread(data.means((lp - old).clamp(-FARTHEST, FARTHEST)).exp())
    plain = ratio * inputs["advantages"]
    losses = -torch.minimum(plain, ratio.clamp(*clip_bounds(numbers)) * inputs["advantages"])
    if numbers["beta"]:
        gap = reference_gap(lp, inputs)
        losses = losses + numbers["beta"] * (gap.expm1() - gap)
    return losses * inputs["weights"]


def dpo(kind: str, data: Sequences, numbers: Numbers) -> Tensor:
    """A function ``kind`` of beta (gain of the chosen - gain of the rejected), plus sft_weight times the mean -lp of all chosen tokens.

    A gain is the sum of lp - s, or where it is reference_free, of lp.
    """
    gaps = data.lp if numbers["reference_free"] else data.lp - data.inputs["ref_logprobs"]
    chosen, rejected = _sides(data.sums(gaps))
    losses = DPO_KINDS[kind](chosen, rejected, numbers)
    return data.at_pairs(losses / numbers["pairs"]) + numbers["sft_weight"] * _likelihood(data, numbers)


def simpo(data: Sequences, numbers: Numbers) -> Tensor:
    """-log sigmoid(beta (mean lp of the chosen - mean lp of the rejected) - gamma)"""
    chosen, rejected = _sides(data.means(data.lp))
    losses = -F.logsigmoid(numbers["beta"] * (chosen - rejected) - numbers["gamma"])
    return data.at_pairs(losses / numbers["pairs"])


def cpo(data: Sequences, numbers: Numbers) -> Tensor:
    """-log sigmoid(beta (sum lp of the chosen - sum lp of the rejected)), plus bc_coef times the mean -lp of all chosen tokens."""
    chosen, rejected = _sides(data.sums(data.lp))
    losses = -F.logsigmoid(numbers["beta"] * (chosen - rejected))
    return data.at_pairs(losses / numbers["pairs"]) + numbers["bc_coef"] * _likelihood(data, numbers)


def orpo(data: Sequences, numbers: Numbers) -> Tensor:
    """The mean -lp of all chosen tokens, plus lambda_orpo times -log sigmoid(o(chosen) - o(rejected)): the log-odds of exp(mean lp)."""
    chosen, rejected = _sides(_log_odds(data.means(data.lp)))
    losses = -F.logsigmoid(chosen - rejected) * numbers["lambda_orpo"]
    return data.at_pairs(losses / numbers["pairs"]) + _likelihood(data, numbers)


def _sides(values: Tensor) -> tuple[Tensor, Tensor]:
    """Of the chosen and the rejected."""
    return values[::2], values[1::2]


def _likelihood(data: Sequences, numbers: Numbers) -> Tensor:
    """-lp of chosen tokens [T], over the number of all of them."""
    chosen = torch.ones(len(data.lengths), device=data.lp.device)
    chosen[1::2] = 0.0
    return -data.lp * data.inputs["mask"] * data.spread(chosen) / numbers["chosen_tokens"]


def _log_odds(mean: Tensor) -> Tensor:
    """log(p / (1 - p)) of p = exp(mean), with p kept below 1."""
    below = mean.clamp(max=-1e-7)
    # Each side where the other loses digits.
    rest = torch.where(below > -math.log(2.0), torch.log(-torch.expm1(below)), torch.log1p(-below.exp()))
    return mean - rest


def _sigmoid(chosen: Tensor, rejected: Tensor, numbers: Numbers) -> Tensor:
    margin, smoothing = numbers["beta"] * (chosen - rejected), numbers["label_smoothing"]
    return -(1.0 - smoothing) * F.logsigmoid(margin) - smoothing * F.logsigmoid(-margin)


def _hinge(chosen: Tensor, rejected: Tensor, numbers: Numbers) -> Tensor:
    return (1.0 - numbers["beta"] * (chosen - rejected)).relu()


def _ipo(chosen: Tensor, rejected: Tensor, numbers: Numbers) -> Tensor:
    return (numbers["beta"] * (chosen - rejected) - 0.5 / numbers["beta"]).square()


def _kto_pair(chosen: Tensor, rejected: Tensor, numbers: Numbers) -> Tensor:
    return 1.0 - (numbers["beta"] * chosen).sigmoid() + (numbers["beta"] * rejected).sigmoid()


DPO_KINDS: Mapping[str, Callable[[Tensor, Tensor, Numbers], Tensor]] = {
    "sigmoid": _sigmoid,
    "hinge": _hinge,
    "ipo": _ipo,
    "kto_pair": _kto_pair,
}
"""Of the gains of chosen and rejected, [pairs], to the losses; the first is the default."""
