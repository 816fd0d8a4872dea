"""One step of AdamW on the flat tensors of a run."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from .errors import MEMORY, NON_FINITE, TrainingError
from .flat_run import FlatRun
from .outcomes import is_out_of_memory
from .spec import AdamParams

Reduce = Callable[[Tensor], None]
"""Adds a flat gradient up over ranks, in place."""

_PART = 1 << 26
"""Numbers that are stepped at a time."""


@torch.no_grad()
def adam_step(adapter: FlatRun[Any], params: AdamParams, reduce: Reduce | None = None) -> dict[str, float]:
    """Step, clear the gradient, and tell how it went. The formula is that of torch.optim.AdamW, bit for bit.

    Without any gradient the step is that of a gradient of zero: moments decay, momentum and weight decay move the weights.
    Raises TrainingError for params out of range, with nothing changed; for a gradient that is not finite, which is then cleared, with
    weights and moments as they were; and, alone, for want of memory, with all as it was.
    """
    params.check()
    grad, averages, squared, room = _memory(adapter, alone=reduce is None)
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
    # In parts: a full run is as large as its model, and what lies between the lines below would be, too.
    parts = (flat.split(_PART) for flat in (grad, averages, squared, adapter.flat))
    for slope, average, squares, weights in zip(*parts, strict=True):
        average.lerp_(slope, 1 - params.beta1)
        squares.mul_(params.beta2).addcmul_(slope, slope, value=1 - params.beta2)
        weights.mul_(1 - params.learning_rate * params.weight_decay)
        scale = torch.sqrt(squares, out=room[: len(slope)])
        scale.div_((1 - params.beta2**adapter.step) ** 0.5).add_(params.eps)
        weights.addcdiv_(average, scale, value=-params.learning_rate / (1 - params.beta1**adapter.step))
    adapter.clear()
    return {
        "grad_norm:mean": norm,
        "clipped_grad_norm:mean": clipped,
        "weight_norm:mean": torch.linalg.vector_norm(adapter.flat).item(),
        "step:max": float(adapter.step),
    }


def _memory(adapter: FlatRun[Any], alone: bool) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Gradient, moments, and room to work in: all that may find no memory comes before anything is changed."""
    try:
        grad = adapter.grad
        return grad, *adapter.moments(), torch.empty(min(_PART, grad.numel()), device=grad.device)
    except Exception as error:
        # With others, who may have enough and go on, this rank cannot.
        if not alone or not is_out_of_memory(error):
            raise
        raise TrainingError(MEMORY, f"no memory for this step, and nothing was changed: {error}") from error
