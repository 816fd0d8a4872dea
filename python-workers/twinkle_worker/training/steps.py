"""One step of a run: its gradient added up over ranks, clipped, and applied by an optimizer; and the norm that a step would clip."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from .errors import MEMORY, NON_FINITE, TrainingError
from .flat_run import FlatRun, Reduce
from .optimizers import Numbers, update
from .outcomes import is_out_of_memory
from .spec import StepParams, check_norm

_PART = 1 << 26
"""Numbers that are stepped at a time."""


@torch.no_grad()
def take_step(run: FlatRun[Any], params: StepParams, reduce: Reduce | None = None) -> dict[str, float]:
    """Step, clear the gradient, and tell how it went. A run whose last step was of another kind begins with fresh moments, and at step 1.

    Without any gradient the step is that of a gradient of zero: moments decay, momentum and weight decay move the weights.
    Raises TrainingError for params out of range, with nothing changed; for a gradient that is not finite, which is then cleared, with
    weights and moments as they were; and, alone, for want of memory, with all as it was.
    """
    params.check()
    with _memory("step", alone=reduce is None):  # all that may find none comes before anything is changed
        grad, (averages, squares) = run.grad, run.moments()
        room = torch.empty(min(_PART, grad.numel()), device=grad.device)
    run.sum_up(reduce)
    norm = _norm(grad, params.norm_type) * params.gradient_scale
    if not math.isfinite(norm):
        run.clear()
        raise TrainingError(NON_FINITE, "the gradient is NaN or infinite; it was cleared and the weights are as before")
    limit = params.grad_clip_norm
    clip = limit / (norm + 1e-6) if 0 < limit < norm else 1.0
    if clip * params.gradient_scale != 1:
        grad.mul_(clip * params.gradient_scale)
    run.use(params.kind)
    run.step += 1
    # In parts: a full run is as large as its model, and what lies between the lines of a formula would be, too.
    parts = (flat.split(_PART) for flat in (grad, averages, squares, run.flat))
    for slope, average, square, weights in zip(*parts, strict=True):
        update(Numbers(slope, average, square, weights, room), params, run.step)
    run.clear()
    return {
        "grad_norm:mean": norm,
        "clipped_grad_norm:mean": norm * clip,
        "weight_norm:mean": torch.linalg.vector_norm(run.flat).item(),
        "step:max": float(run.step),
    }


@torch.no_grad()
def gradient_norm(run: FlatRun[Any], scale: float, norm_type: float, reduce: Reduce | None = None) -> float:
    """What :func:`take_step` would clip of a gradient that is multiplied by ``scale``: the gradient stays what it is.

    With ``reduce`` it is added up over ranks here, and no more by a step that follows; all ranks must call it, for the same run.
    Raises TrainingError for a gradient that is not finite, which stays, too.
    """
    check_norm(scale, norm_type)
    with _memory("norm", alone=reduce is None):
        grad = run.grad
    run.sum_up(reduce)
    norm = _norm(grad, norm_type) * scale
    if not math.isfinite(norm):
        raise TrainingError(NON_FINITE, "the gradient is NaN or infinite; a step would clear it and do nothing else")
    return norm


def _norm(grad: Tensor, norm_type: float) -> float:
    return torch.linalg.vector_norm(grad, math.inf if norm_type == 0 else norm_type).item()


@contextmanager
def _memory(what: str, alone: bool) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        # With others, who may have enough and go on, this rank cannot.
        if not alone or not is_out_of_memory(error):
            raise
        raise TrainingError(MEMORY, f"no memory for this {what}, and nothing was changed: {error}") from error
