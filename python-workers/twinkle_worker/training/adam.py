"""One step of AdamW on the flat tensors of a run."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from .adapter import Adapter
from .errors import NON_FINITE, TrainingError
from .spec import AdamParams

Reduce = Callable[[Tensor], None]
"""Adds a flat gradient up over ranks, in place."""


@torch.no_grad()
def adam_step(adapter: Adapter, params: AdamParams, reduce: Reduce | None = None) -> dict[str, float]:
    """Step, clear the gradient, and tell how it went. The formula is that of torch.optim.AdamW, bit for bit.

    Without any gradient the step is that of a gradient of zero: moments decay, momentum and weight decay move the weights.
    Raises TrainingError for params out of range, with nothing changed; and for a gradient that is not finite, which is then cleared, with
    weights and moments as they were.
    """
    params.check()
    grad = adapter.grad
    if reduce is not None:
        reduce(grad)
    norm = torch.linalg.vector_norm(grad).item()
    if not math.isfinite(norm):
        adapter.clear()
        raise TrainingError(NON_FINITE, "the gradient is NaN or infinite; it was cleared and the weights are as before")
    limit = params.grad_clip_norm
    clipped = norm
    if limit > 0 and norm > limit:
        factor = limit / (norm + 1e-6)
        grad.mul_(factor)
        clipped = norm * factor
    adapter.step += 1
    average, squares = adapter.moments()
    average.lerp_(grad, 1 - params.beta1)
    squares.mul_(params.beta2).addcmul_(grad, grad, value=1 - params.beta2)
    weights = adapter.flat
    weights.mul_(1 - params.learning_rate * params.weight_decay)
    scale = (squares.sqrt() / (1 - params.beta2**adapter.step) ** 0.5).add_(params.eps)
    weights.addcdiv_(average, scale, value=-params.learning_rate / (1 - params.beta1**adapter.step))
    adapter.clear()
    return {
        "grad_norm:mean": norm,
        "clipped_grad_norm:mean": clipped,
        "weight_norm:mean": torch.linalg.vector_norm(weights).item(),
        "step:max": float(adapter.step),
    }
