"""What the rows of a pass come to, by the kind of their works' losses: of tokens, of whole sequences, or of embeddings.

Sequences go through the head twice: for their log-probabilities, which a function takes whole, and then back with the slopes that it gave.
That costs a head and no second pass, and as groups are never split, it is all that it takes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from .base_model import BaseModel
from .contrast import Embedded, EmbeddingLoss
from .head import PassRows, Scored, score
from .inputs import Prepared
from .losses import Inputs, Loss, Numbers, Terms
from .sequence_losses import SequenceLoss, Sequences, nothing


@dataclass(frozen=True, slots=True)
class _Given(Loss):
    """What its inputs ``losses`` and ``slopes`` say, which have their weights."""

    def apply(self, lp: Tensor, inputs: Inputs, numbers: Numbers) -> Terms:
        return inputs["losses"], inputs["slopes"]


_LOOK = Loss(nothing)
_GIVEN = _Given(nothing)


def score_pass(base: BaseModel, hidden: Tensor, pieces: Sequence[PassRows], backward: bool) -> Tensor | None:
    """As :func:`head.score`, for losses of all kinds."""
    if all(type(piece.work.loss) is Loss for piece in pieces):
        return score(base, hidden, pieces, backward)
    grad = torch.empty_like(hidden) if backward else None
    for piece in pieces:
        rows = slice(piece.start, piece.stop)
        with base.context.window(piece.start, piece.stop):
            own = _score_piece(base, hidden[rows], piece, backward)
        if grad is not None and own is not None:
            grad[rows] = own
    return grad


def _score_piece(base: BaseModel, hidden: Tensor, piece: PassRows, backward: bool) -> Tensor | None:
    """Of one work by itself; ``hidden`` are its rows."""
    loss = piece.work.loss
    if isinstance(loss, EmbeddingLoss):
        return _score_embeddings(hidden, piece, loss, backward)
    if isinstance(loss, SequenceLoss):
        return _score_sequences(base, hidden, piece, loss, backward)
    return score(base, hidden, [replace(piece, start=0, stop=len(hidden))], backward)


def _score_sequences(
    base: BaseModel, hidden: Tensor, piece: PassRows, loss: SequenceLoss, backward: bool
) -> Tensor | None:
    work, own = piece.work, slice(piece.offset, piece.offset + len(hidden))
    inputs = {name: values[own, 0] for name, values in work.inputs.items()}
    inputs["weights"] = inputs["mask"] * inputs.get("weights", 1.0)
    weights = {"weights": inputs["weights"].unsqueeze(1)}
    seen = Scored()
    plain = replace(work, loss=_LOOK, targets=work.targets[own], inputs=weights)
    if backward:
        # Entropies come out of the second time.
        plain = replace(plain, options=replace(work.options, entropies=False, entropy_coef=0.0))
    score(base, hidden, [_all_rows(hidden, plain, seen)], False)
    lp = torch.cat(seen.logprobs)[:, 0].requires_grad_(backward)
    with torch.set_grad_enabled(backward):
        losses = loss.function(Sequences(lp, inputs, work.within(piece.first, piece.last)), work.numbers)
    scored = piece.scored
    if not backward:
        scored.logprobs += seen.logprobs
        scored.losses.append(torch.cat(seen.losses) + losses.unsqueeze(1))
        scored.entropies += seen.entropies
        return None
    (slopes,) = torch.autograd.grad(losses.sum(), lp)
    terms = {**weights, "losses": losses.detach().unsqueeze(1), "slopes": slopes.unsqueeze(1)}
    given = replace(plain, loss=_GIVEN, inputs=terms, options=work.options)
    return score(base, hidden, [_all_rows(hidden, given, scored)], True)


def _score_embeddings(hidden: Tensor, piece: PassRows, loss: EmbeddingLoss, backward: bool) -> Tensor | None:
    """The last state of each datum, made one of length 1, is its embedding; no head."""
    work = piece.work
    lengths = work.within(piece.first, piece.last)
    last = torch.tensor(lengths, device=hidden.device).cumsum(0) - 1
    states = hidden.detach()[last].requires_grad_(backward)
    groups = work.anchors if work.numbers.get("use_batch") else (work.groups or ())[piece.first : piece.last]
    inputs: Mapping[str, Tensor] = {name: values[piece.first : piece.last] for name, values in work.inputs.items()}
    with torch.set_grad_enabled(backward):
        vectors = F.normalize(states.float(), dim=-1)
        losses = loss.function(Embedded(vectors, groups, inputs), work.numbers)
    piece.scored.logprobs.append(vectors.detach())
    piece.scored.losses.append(losses.detach().unsqueeze(1))
    if not backward:
        return None
    grad = torch.zeros_like(hidden)
    (grad[last],) = torch.autograd.grad(losses.sum(), states)
    return grad


def _all_rows(hidden: Tensor, work: Prepared, scored: Scored) -> PassRows:
    return PassRows(0, len(hidden), 0, work, scored)
