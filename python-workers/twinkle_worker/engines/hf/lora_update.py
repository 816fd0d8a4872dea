"""What one adapter adds to a layer's output, for the rows that are its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

Selection = slice | Tensor
"""Rows of a batch: of a view when they lie together, else their numbers, int64."""


class Update(Protocol):
    """What a plan keeps for a layer."""

    def add(self, input: Tensor, output: Tensor) -> None:
        """Change ``output`` [rows, …, out], contiguous, in place by what follows from ``input`` [rows, …, in]."""
        ...


@dataclass(frozen=True, slots=True)
class OwnRows:
    """a [in, rank] and b [rank, out] of the adapter that has ``rows``."""

    rows: Selection
    a: Tensor
    b: Tensor

    def add(self, input: Tensor, output: Tensor) -> None:
        """See Update."""
        if isinstance(self.rows, slice):
            x = input[self.rows].reshape(-1, len(self.a))
            y = output[self.rows].view(-1, self.b.shape[1])
            torch.addmm(y, x @ self.a, self.b, out=y)
        else:
            output.index_add_(0, self.rows, (input.index_select(0, self.rows) @ self.a) @ self.b)


def select_rows(rows: Sequence[int], device: torch.device) -> Selection:
    """``rows``: ascending."""
    if rows[-1] - rows[0] + 1 == len(rows):
        return slice(rows[0], rows[-1] + 1)
    return torch.tensor(rows, device=device)
