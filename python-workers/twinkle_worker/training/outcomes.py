"""What a work gives back once its passes are through, and what is said of one that failed."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from .contrast import EmbeddingLoss
from .errors import ENGINE, MEMORY, NON_FINITE, TrainingError
from .flat_run import Claim
from .head import Scored
from .inputs import Prepared
from .memory import WAYS
from .spec import Outcome

log = logging.getLogger(__name__)


def outcome_of(work: Prepared, scored: Scored, claim: Claim[Any] | None) -> Outcome:
    """What the caller gets, on the CPU and in the caller's order and shapes."""
    logprobs = torch.cat(scored.logprobs).cpu()
    losses = torch.cat(scored.losses).cpu()
    embedded = isinstance(work.loss, EmbeddingLoss)
    rows = (1,) * len(work.lengths) if embedded else work.lengths
    total = losses.sum(dtype=torch.float64).item()
    if not math.isfinite(total + logprobs.sum(dtype=torch.float64).item()):
        return Outcome(error=_not_finite(work, rows, losses + logprobs))
    if claim is not None and not claim.finite():
        return Outcome(
            error=TrainingError(NON_FINITE, "the gradient came out as NaN or infinite; nothing was added up")
        )
    outputs: list[dict[str, Tensor]] = [{} for _ in work.order]
    if embedded:
        for number, vector in zip(work.order, logprobs, strict=True):
            outputs[number]["embeddings"] = vector
        return Outcome(outputs, {"loss:sum": total})
    for number, shape, lp, loss in zip(work.order, work.shapes, logprobs.split(rows), losses.split(rows), strict=True):
        width = shape[1:].numel()
        outputs[number]["logprobs"] = lp[:, :width].reshape(shape)
        if work.loss.elementwise:
            outputs[number]["elementwise_loss"] = loss[:, :width].reshape(shape)
    if work.options.entropies:
        for number, own in zip(work.order, torch.cat(scored.entropies)[:, 0].cpu().split(rows), strict=True):
            outputs[number]["entropies"] = own
    return Outcome(outputs, {"loss:sum": total})


def _not_finite(work: Prepared, rows: Sequence[int], values: Tensor) -> TrainingError:
    for place, own in sorted(zip(work.order, values.split(rows), strict=True), key=lambda pair: pair[0]):
        if not bool(own.isfinite().all()):
            number = work.first + place
            return TrainingError(
                NON_FINITE,
                f"the loss of datum {number} came out as NaN or infinite; check its logprobs and advantages for extreme values",
                f"data[{number}]",
            )
    return TrainingError(NON_FINITE, "the loss came out as NaN or infinite; check for extreme values")


def is_out_of_memory(error: Exception) -> bool:
    """Whether it is torch's way, or Python's, to say that there is no memory."""
    text = str(error)
    # Where there is not even room for a context, CUDA says so as any other error of its.
    known = "DefaultCPUAllocator" in text or "CUDA error: out of memory" in text
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or known


def translate(error: Exception) -> TrainingError:
    """What a caller is told of whatever ended a pass; what nobody foresaw is logged, too."""
    if isinstance(error, TrainingError):
        return error
    text = str(error)
    if is_out_of_memory(error):
        ways = f". Send shorter datums; {WAYS}" if "CUDA" in text else "; send shorter datums"
        return TrainingError(MEMORY, f"no memory for this pass: {text.rstrip('.')}{ways}")
    log.error("a training pass failed", exc_info=error)
    return TrainingError(ENGINE, f"the pass failed: {type(error).__name__}: {text}")
