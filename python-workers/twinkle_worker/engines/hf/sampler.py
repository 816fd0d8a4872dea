"""Chooses one token for each row of a batch: adjustments, then greedy or drawn. Built anew when the rows change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .filters import FilterRows, draw, filter_weights, soft_weights
from .logprobs import RowLogprobs, gather_logprobs
from .penalties import Adjustments
from .request import Choice
from .uniform import UniformRows

GREEDY_BELOW = 1e-5
"""Temperatures under this are greedy, as in vLLM."""

BROKEN = -1
"""Stands for a token where a row's logits were not finite."""


@dataclass(slots=True)
class Drawn:
    """Tokens of a step.

    tokens: int64 [rows] on the device; 0 where the row is broken
    ids: the same on the host; BROKEN where the logits held NaN or nothing but -inf
    logprobs: by row, for those that asked
    """

    tokens: Tensor
    ids: list[int]
    logprobs: dict[int, RowLogprobs]


class _Rows:
    """Rows that are drawn in the same way; ``index`` is None when these are all rows."""

    def __init__(self, rows: Sequence[int], choices: Sequence[Choice], device: torch.device) -> None:
        whole = len(rows) == len(choices)
        self.index = None if whole else torch.tensor(rows, dtype=torch.int64, device=device)
        temperatures = [choices[row].sampling.temperature for row in rows]
        self.temperature = torch.tensor(temperatures, dtype=torch.float32, device=device)[:, None]

    def take(self, table: Tensor) -> Tensor:
        return table if self.index is None else table[self.index]

    def put(self, tokens: Tensor, drawn: Tensor) -> Tensor:
        if self.index is None:
            return drawn
        tokens[self.index] = drawn
        return tokens


class Sampler:
    """Sampling state of the rows of one batch."""

    def __init__(self, choices: Sequence[Choice], vocabulary: int, device: torch.device) -> None:
        self._device = device
        self._adjustments = Adjustments(choices, vocabulary, device)
        self._left = self._adjustments.steps_valid
        self._uniform = UniformRows([c.key for c in choices], [len(c.output) for c in choices])
        drawn = [row for row, choice in enumerate(choices) if choice.sampling.temperature >= GREEDY_BELOW]
        filtered = [row for row in drawn if _has_filter(choices[row])]
        plain = [row for row in drawn if not _has_filter(choices[row])]
        self._plain = _Rows(plain, choices, device) if plain else None
        self._filtered = _Rows(filtered, choices, device) if filtered else None
        self._filters = _filter_rows([choices[row] for row in filtered], vocabulary, device) if filtered else None
        wanted = [row for row, choice in enumerate(choices) if choice.sampling.logprobs is not None]
        self._logprob_rows = wanted
        self._logprob_index = torch.tensor(wanted, dtype=torch.int64, device=device)
        self._alternatives = max((choices[row].sampling.logprobs or 0 for row in wanted), default=0)

    @property
    def stale(self) -> bool:
        """Whether the ban of a row's stops has ended, so that this must be built anew."""
        return self._left <= 0

    def sample(self, logits: Tensor) -> Drawn:
        """Choose from ``logits`` [rows, vocabulary] float32, which are changed in place."""
        raw = torch.log_softmax(logits[self._logprob_index], dim=-1) if self._logprob_rows else None
        if not self._adjustments.empty:
            self._adjustments.apply(logits)
        best, tokens = logits.max(dim=-1)
        if self._plain is not None or self._filtered is not None:
            uniform = torch.from_numpy(self._uniform.draw()).to(self._device)[:, None]
            tokens = self._draw(logits, tokens, uniform)
        finite = best.isfinite()
        ids: list[int] = torch.where(finite, tokens, BROKEN).tolist()
        if BROKEN in ids:
            tokens = tokens * finite
        self._adjustments.record(tokens)
        self._left -= 1
        logprobs: dict[int, RowLogprobs] = {}
        if raw is not None:
            rows = gather_logprobs(raw, tokens[self._logprob_index], self._alternatives)
            logprobs = dict(zip(self._logprob_rows, rows, strict=True))
        return Drawn(tokens, ids, logprobs)

    def _draw(self, logits: Tensor, tokens: Tensor, uniform: Tensor) -> Tensor:
        if self._plain is not None:
            rows = self._plain
            weights = soft_weights(rows.take(logits) / rows.temperature)
            tokens = rows.put(tokens, draw(weights, rows.take(uniform)))
        if self._filtered is not None and self._filters is not None:
            rows = self._filtered
            weights = filter_weights(soft_weights(rows.take(logits) / rows.temperature), self._filters)
            tokens = rows.put(tokens, draw(weights, rows.take(uniform)))
        return tokens


def _has_filter(choice: Choice) -> bool:
    params = choice.sampling
    return params.top_k > 0 or params.top_p < 1 or params.min_p > 0


def _filter_rows(choices: Sequence[Choice], vocabulary: int, device: torch.device) -> FilterRows:
    top_k = [choice.sampling.top_k for choice in choices]
    top_k = [k if 0 < k < vocabulary else vocabulary for k in top_k]
    return FilterRows(
        top_k=torch.tensor(top_k, device=device),
        top_p=torch.tensor([choice.sampling.top_p for choice in choices], dtype=torch.float64, device=device),
        min_p=torch.tensor([choice.sampling.min_p for choice in choices], dtype=torch.float32, device=device),
        widest_k=max((k for k in top_k if k < vocabulary), default=0),
    )
