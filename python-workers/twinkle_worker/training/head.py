"""From hidden states to log-probabilities, losses and the gradient of the hidden states, some rows at a time.

Every loss is a sum over tokens with a known slope, so each chunk of rows goes forward and back through the head before the next begins:
logits of a whole pass (vocabularies of 150,000 and more) are never held, and nothing is computed twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from .base_model import BaseModel
from .inputs import Prepared

_CHUNK_NUMBERS = {"cpu": 1 << 24, "cuda": 1 << 27}
"""Logits that are held at once."""
_LEAST_ROWS = 16


@dataclass(slots=True)
class Scored:
    """What came out for the rows of a part, as chunks: log-probabilities and weighted losses, float32 [n, K], and entropies [n, 1].

    Of a loss of embeddings: these, float32 [datums, H], in the place of log-probabilities, and losses [datums, 1].
    """

    logprobs: list[Tensor] = field(default_factory=list)
    losses: list[Tensor] = field(default_factory=list)
    entropies: list[Tensor] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class PassRows:
    """Rows start to stop of a pass are rows ``offset`` and on of ``work``; these are its groups, or datums, first to last (exclusive)."""

    start: int
    stop: int
    offset: int
    work: Prepared
    scored: Scored
    first: int = 0
    last: int = 0


def score(base: BaseModel, hidden: Tensor, pieces: Sequence[PassRows], backward: bool) -> Tensor | None:
    """Score all rows of ``pieces`` into their ``scored``; with ``backward`` give back the gradient of ``hidden`` and add up the head's.

    hidden: [T, H] in the dtype of the model, detached. Log-softmax and losses are float32; the logits have the model's dtype, as when it
    serves.
    """
    step = chunk_rows(base.limits.vocabulary, hidden.device)
    grad = torch.empty_like(hidden) if backward else None
    for start in range(0, len(hidden), step):
        stop = min(start + step, len(hidden))
        rows = hidden[start:stop].detach()
        with base.context.window(start, stop), torch.set_grad_enabled(backward):
            logits = base.head(rows.requires_grad_(backward))
        slopes = _score_chunk(logits.detach(), start, pieces, backward)
        if grad is not None and slopes is not None:
            torch.autograd.backward(logits, slopes)
            assert rows.grad is not None
            grad[start:stop] = rows.grad
    return grad


def chunk_rows(vocabulary: int, device: torch.device) -> int:
    """Rows that go through the head at once."""
    return max(_LEAST_ROWS, _CHUNK_NUMBERS[device.type] // vocabulary)


def _score_chunk(logits: Tensor, start: int, pieces: Sequence[PassRows], backward: bool) -> Tensor | None:
    """The gradient of ``logits`` [rows, vocabulary], which it overwrites."""
    # In place all along: on the CPU, each pass over the logits counts.
    full = logits.float()
    full.sub_(full.amax(-1, keepdim=True))
    found = []
    for piece in pieces:
        first, last = max(piece.start - start, 0), min(piece.stop - start, len(full))
        if first < last:
            offset = piece.offset + first + start - piece.start
            own = slice(offset, offset + last - first)
            targets = piece.work.targets[own]
            rows, options = full[first:last], piece.work.options
            if options.temperature != 1.0:
                rows.div_(options.temperature)
            # Logits are gone once chances are written over them.
            kept = rows.clone() if options.needs_entropies else None
            found.append((piece, slice(first, last), own, targets, rows.gather(1, targets), kept))
    sums = full.exp_().sum(-1, keepdim=True)
    norms = sums.log()
    for piece, rows, own, targets, picked, kept in found:
        logprobs = picked.sub_(norms[rows])
        inputs = {name: values[own] for name, values in piece.work.inputs.items()}
        losses, slopes = piece.work.loss.apply(logprobs, inputs, piece.work.numbers)
        options, pull = piece.work.options, None
        if kept is not None:
            entropies, middle = _entropies(kept, full[rows], sums[rows])
            piece.scored.entropies.append(entropies)
            if options.entropy_coef > 0:
                pull = options.entropy_coef * inputs.get("weights", torch.ones_like(entropies))
                losses = losses - pull * entropies
                kept.sub_(middle)
        piece.scored.logprobs.append(logprobs)
        piece.scored.losses.append(losses)
        if backward:
            factors = slopes.sum(1, keepdim=True)
            if kept is not None and pull is not None:
                # An entropy H goes back to a logit x of chance p as -p (x - middle).
                factors = kept.mul_(pull).neg_().add_(factors)
            full[rows].mul_(factors.div_(sums[rows]).neg_()).scatter_add_(1, targets, slopes)
            if options.temperature != 1.0:
                full[rows].div_(options.temperature)
    if not backward:
        return None
    return full.to(logits.dtype)


def _entropies(logits: Tensor, exponentials: Tensor, sums: Tensor) -> tuple[Tensor, Tensor]:
    """Of the distribution of each row [n, 1], and the mean of its logits; both shifted alike, rows [n, vocabulary]."""
    middle = (logits * exponentials).sum(-1, keepdim=True).div_(sums)
    return sums.log() - middle, middle
