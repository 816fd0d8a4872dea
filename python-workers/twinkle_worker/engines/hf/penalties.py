"""What changes logits before a draw: logit bias, the ban of stops before min_tokens, and penalties on tokens seen.

Formulas: repetition as in CTRL (Keskar et al. 2019) over prompt and answer; presence and frequency as in OpenAI's API over the answer.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from .request import Choice


class Adjustments:
    """Changes for the rows of a batch; built anew when the rows change."""

    def __init__(self, choices: Sequence[Choice], vocabulary: int, device: torch.device) -> None:
        self._device = device
        self._bias = self._build_bias(choices)
        self._ban = self._build_ban(choices)
        rows = [row for row, choice in enumerate(choices) if _penalised(choice)]
        self._penalties = _Penalties(rows, [choices[row] for row in rows], vocabulary, device) if rows else None
        self.steps_valid = min(
            (choice.sampling.min_tokens - len(choice.output) for choice in choices if _banned(choice)), default=1 << 60
        )
        """Steps after which a ban ends and this must be built anew."""

    @property
    def empty(self) -> bool:
        """Whether logits stay as they are."""
        return self._bias is None and self._ban is None and self._penalties is None

    def apply(self, logits: Tensor) -> None:
        """Change ``logits`` [rows, vocabulary] in place."""
        if self._bias is not None:
            rows, tokens, values = self._bias
            logits.index_put_((rows, tokens), values, accumulate=True)
        if self._ban is not None:
            logits[self._ban] = -torch.inf
        if self._penalties is not None:
            self._penalties.apply(logits)

    def record(self, tokens: Tensor) -> None:
        """Count the ``tokens`` [rows] that were just drawn."""
        if self._penalties is not None:
            self._penalties.record(tokens)

    def _build_bias(self, choices: Sequence[Choice]) -> tuple[Tensor, Tensor, Tensor] | None:
        entries = [(row, *pair) for row, choice in enumerate(choices) for pair in choice.sampling.logit_bias]
        if not entries:
            return None
        rows, tokens, values = zip(*entries, strict=True)
        return (
            self._indices(rows),
            self._indices(tokens),
            torch.tensor(values, device=self._device, dtype=torch.float32),
        )

    def _build_ban(self, choices: Sequence[Choice]) -> tuple[Tensor, Tensor] | None:
        entries = [(row, token) for row, choice in enumerate(choices) if _banned(choice) for token in choice.stop_ids]
        if not entries:
            return None
        rows, tokens = zip(*entries, strict=True)
        return self._indices(rows), self._indices(tokens)

    def _indices(self, values: Sequence[int]) -> Tensor:
        return torch.tensor(values, dtype=torch.int64, device=self._device)


def _banned(choice: Choice) -> bool:
    return len(choice.output) < choice.sampling.min_tokens


def _penalised(choice: Choice) -> bool:
    params = choice.sampling
    return params.repetition_penalty != 1 or params.presence_penalty != 0 or params.frequency_penalty != 0


class _Penalties:
    """Counts of tokens for the penalised rows only."""

    def __init__(self, rows: Sequence[int], choices: Sequence[Choice], vocabulary: int, device: torch.device) -> None:
        self._rows = torch.tensor(rows, dtype=torch.int64, device=device)
        self._each = torch.arange(len(rows), device=device)
        self._counts = torch.zeros((len(rows), vocabulary), device=device)
        self._seen = torch.zeros((len(rows), vocabulary), dtype=torch.bool, device=device)
        for row, choice in enumerate(choices):
            if choice.output:
                output = torch.tensor(choice.output, device=device)
                self._counts[row].index_add_(0, output, torch.ones(len(output), device=device))
                self._seen[row, output] = True
            self._seen[row, torch.tensor(choice.request.prompt, device=device)] = True
        samplings = [choice.sampling for choice in choices]
        self._repetition = self._column([params.repetition_penalty for params in samplings], device)
        self._presence = self._column([params.presence_penalty for params in samplings], device)
        self._frequency = self._column([params.frequency_penalty for params in samplings], device)

    @staticmethod
    def _column(values: Sequence[float], device: torch.device) -> Tensor:
        return torch.tensor(values, dtype=torch.float32, device=device)[:, None]

    def apply(self, logits: Tensor) -> None:
        chosen = logits[self._rows]
        scaled = torch.where(chosen > 0, chosen / self._repetition, chosen * self._repetition)
        chosen = torch.where(self._seen, scaled, chosen)
        chosen -= self._frequency * self._counts + self._presence * (self._counts > 0)
        logits[self._rows] = chosen

    def record(self, tokens: Tensor) -> None:
        drawn = tokens[self._rows]
        self._counts[self._each, drawn] += 1
        self._seen[self._each, drawn] = True
