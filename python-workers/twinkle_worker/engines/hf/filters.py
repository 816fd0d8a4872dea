"""Draws tokens by weight, and narrows weights by min-p, top-k and top-p; many rows at once.

Each filter keeps the tokens at or over some weight, so only a row's best weights are ever sorted, tied tokens are kept or dropped
together, and a row's result never depends on its neighbours. As in vLLM the order is min-p, top-k, top-p, each over what is left.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

_FIRST_WIDTH = 256
"""Candidates sorted first when a row has no top-k; rarely does a nucleus hold more."""


@dataclass(slots=True)
class FilterRows:
    """Filters of the rows, one entry each.

    top_k: int64; the vocabulary size when there is none
    top_p: float64; 1 when there is none
    min_p: float32; 0 when there is none
    widest_k: largest top_k below the vocabulary size, 0 when no row has one
    """

    top_k: Tensor
    top_p: Tensor
    min_p: Tensor
    widest_k: int

    def take(self, rows: Tensor) -> FilterRows:
        """The filters of some rows."""
        return FilterRows(self.top_k[rows], self.top_p[rows], self.min_p[rows], self.widest_k)


def soft_weights(logits: Tensor) -> Tensor:
    """exp(logit - largest logit of the row): proportional to the softmax, 1 for the best token."""
    return torch.exp(logits - logits.amax(-1, keepdim=True))


def draw(weights: Tensor, uniform: Tensor) -> Tensor:
    """One token [rows] for each row of ``weights`` [rows, vocabulary], never one of weight 0; ``uniform``: [rows, 1] in [0, 1)."""
    sums = weights.cumsum(-1, dtype=torch.float64)
    found = torch.searchsorted(sums, uniform * sums[:, -1:], right=True)[:, 0]
    return found.clamp_(max=weights.shape[-1] - 1)


def filter_weights(weights: Tensor, filters: FilterRows) -> Tensor:
    """``weights`` of :func:`soft_weights` with 0 for the tokens that the filters leave out."""
    weights = torch.where(weights >= filters.min_p[:, None], weights, 0.0)
    vocabulary = weights.shape[-1]
    width = max(filters.widest_k, _FIRST_WIDTH)
    if width >= vocabulary:
        least, _ = _least_kept(weights, vocabulary, filters)
    else:
        least, whole = _least_kept(weights, width, filters)
        if not bool(whole.all()):
            rows = (~whole).nonzero()[:, 0]
            least[rows] = _least_kept(weights[rows], vocabulary, filters.take(rows))[0]
    return torch.where(weights >= least, weights, 0.0)


def _least_kept(weights: Tensor, width: int, filters: FilterRows) -> tuple[Tensor, Tensor]:
    """Smallest weight kept, [rows, 1], judged by the best ``width`` tokens; and whether these are enough to know it, [rows]."""
    best = weights.topk(width, dim=-1).values
    ranks = torch.arange(width, device=best.device)
    best = torch.where(ranks < filters.top_k[:, None], best, 0.0)
    sums = best.cumsum(-1, dtype=torch.float64)
    limited = filters.top_k <= width
    total = torch.where(limited, sums[:, -1], weights.sum(-1, dtype=torch.float64))
    kept = ((sums - best) < (filters.top_p * total)[:, None]) & (best > 0)
    count = kept.sum(-1, keepdim=True).clamp_(min=1)
    return best.gather(-1, count - 1), limited | ~kept[:, -1]
