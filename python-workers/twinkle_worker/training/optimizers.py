"""The formulas of the optimizers, on flat tensors of equal size: each in place, and that of its namesake in torch.optim, bit for bit."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .spec import StepParams


@dataclass(frozen=True, slots=True)
class Numbers:
    """What a step changes, or a part of it.

    slope: the gradient; what is left in it means nothing
    average: the first moment of Adam, or the momentum of SGD; squares: the second moment of Adam
    room: to work in, at least as large
    """

    slope: Tensor
    average: Tensor
    squares: Tensor
    weights: Tensor
    room: Tensor


def update(numbers: Numbers, params: StepParams, step: int) -> None:
    """Change weights and moments. ``step``: of this optimizer, from 1 on."""
    if params.kind == "sgd":
        _sgd(numbers, params, step)
    else:
        _adam(numbers, params, step)


def _adam(numbers: Numbers, params: StepParams, step: int) -> None:
    slope, weights = numbers.slope, numbers.weights
    if params.kind == "adamw":
        weights.mul_(1 - params.learning_rate * params.weight_decay)
    else:
        _add_decay(numbers, params)
    numbers.average.lerp_(slope, 1 - params.beta1)
    numbers.squares.mul_(params.beta2).addcmul_(slope, slope, value=1 - params.beta2)
    scale = torch.sqrt(numbers.squares, out=numbers.room[: len(slope)])
    scale.div_((1 - params.beta2**step) ** 0.5).add_(params.eps)
    weights.addcdiv_(numbers.average, scale, value=-params.learning_rate / (1 - params.beta1**step))


def _sgd(numbers: Numbers, params: StepParams, step: int) -> None:
    slope, momentum = numbers.slope, numbers.average
    _add_decay(numbers, params)
    if params.momentum != 0:
        if step == 1:
            momentum.copy_(slope)
        else:
            momentum.mul_(params.momentum).add_(slope, alpha=1 - params.dampening)
        slope = slope.add_(momentum, alpha=params.momentum) if params.nesterov else momentum
    numbers.weights.add_(slope, alpha=-params.learning_rate)


def _add_decay(numbers: Numbers, params: StepParams) -> None:
    if params.weight_decay != 0:
        numbers.slope.add_(numbers.weights, alpha=params.weight_decay)
