"""Losses of the Twinkle API that are functions of one token's log-probability, each with its derivative written out.

lp: log-probability of the target; q: that of the policy that sampled it; s: that of the reference; A: advantage. r = exp(lp - q), with
lp - q held within 20 of 0, where it has no slope beyond. On policy, q is lp itself, held constant. Every term is multiplied by ``weights``.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .losses import Inputs, Numbers, Terms

FARTHEST = 20.0
"""That a log-ratio may be from 0."""


def cross_entropy(lp: Tensor, _inputs: Inputs, numbers: Numbers) -> Terms:
    """-lp, or with dft, -exp(lp) lp, with a slope through both factors."""
    if not numbers["dft"]:
        return -lp, torch.full_like(lp, -1.0)
    chance = lp.exp()
    return -chance * lp, -chance * (1.0 + lp)


def grpo(lp: Tensor, inputs: Inputs, numbers: Numbers) -> Terms:
    """-min(r A, clip(r, 1 - epsilon, 1 + epsilon_high) A) + beta KL"""
    ratio, moves = _ratio(lp, inputs, numbers)
    plain = ratio * inputs["advantages"]
    clipped = ratio.clamp(*clip_bounds(numbers)) * inputs["advantages"]
    slopes = torch.where((plain <= clipped) & moves, -plain, 0.0)
    return _with_reference(-torch.minimum(plain, clipped), slopes, lp, inputs, numbers)


def sapo(lp: Tensor, inputs: Inputs, numbers: Numbers) -> Terms:
    """-4 / tau sigmoid(tau (r - 1)) A + beta KL, where tau is tau_pos for positive advantages and tau_neg for others."""
    ratio, moves = _ratio(lp, inputs, numbers)
    advantages = inputs["advantages"]
    tau = torch.where(advantages > 0, numbers["tau_pos"], numbers["tau_neg"])
    gate = (tau * (ratio - 1.0)).sigmoid()
    slopes = torch.where(moves, -4.0 * gate * (1.0 - gate) * ratio * advantages, 0.0)
    return _with_reference(-4.0 / tau * gate * advantages, slopes, lp, inputs, numbers)


def cispo(lp: Tensor, inputs: Inputs, numbers: Numbers) -> Terms:
    """-min(r, 1 + epsilon) lp A + beta KL, with r held constant."""
    ratio, _ = _ratio(lp, inputs, numbers)
    slopes = -ratio.clamp(max=1.0 + numbers["epsilon"]) * inputs["advantages"]
    return _with_reference(slopes * lp, slopes, lp, inputs, numbers)


def clip_bounds(numbers: Numbers) -> tuple[float, float]:
    """Of a ratio; without epsilon_high, epsilon counts on both sides."""
    return 1.0 - numbers["epsilon"], 1.0 + numbers.get("epsilon_high", numbers["epsilon"])


def reference_gap(lp: Tensor, inputs: Inputs) -> Tensor:
    """s - lp; 0 where a token has no weight, and its reference may be anything: an exponential of it must not be infinite."""
    gap = inputs["ref_logprobs"] - lp
    weights = inputs.get("weights")
    return gap if weights is None else gap.masked_fill(weights == 0, 0.0)


def _ratio(lp: Tensor, inputs: Inputs, numbers: Numbers) -> tuple[Tensor, Tensor]:
    """r, and where it has a slope."""
    if numbers["on_policy"]:
        return torch.ones_like(lp), torch.ones_like(lp, dtype=torch.bool)
    gap = lp - inputs["logprobs"]
    return gap.clamp(-FARTHEST, FARTHEST).exp(), gap.abs() <= FARTHEST


def _with_reference(losses: Tensor, slopes: Tensor, lp: Tensor, inputs: Inputs, numbers: Numbers) -> Terms:
    """Add beta (exp(s - lp) - (s - lp) - 1)."""
    beta = numbers["beta"]
    if not beta:
        return losses, slopes
    gap = reference_gap(lp, inputs)
    grown = gap.expm1()
    return losses + beta * (grown - gap), slopes - beta * grown
