"""The `Cache` that a Hugging Face model sees: its ``update`` writes into rows of a SlotStore and hands views of them back.

What a forward writes and reads is said beforehand by a plan; the model decides nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import Cache

from .slot_store import SlotStore


@dataclass(slots=True)
class Plan:
    """Where a forward of [rows, width] tokens writes and what it reads: the rows 0 to ``rows`` up to ``read_length``.

    row_index: int64 [rows, 1]
    positions: int64 [rows, width]; of entries that are padding anything
    real: None when every entry is a token, else (entry, row, position) of each real one, int64 [tokens]
    """

    rows: int
    read_length: int
    row_index: Tensor
    positions: Tensor
    real: tuple[Tensor, Tensor, Tensor] | None = None
    start: int = -1
    """Position of the first token when there is one row only, which is written as a slice."""

    def write(self, target: Tensor, fresh: Tensor) -> None:
        """Put ``fresh`` [rows, heads, width, dim] where it belongs in ``target``."""
        if self.rows == 1 and self.start >= 0:
            target[0, :, self.start : self.start + fresh.shape[2]] = fresh[0]
        elif self.real is None:
            target[self.row_index, :, self.positions] = fresh.transpose(1, 2)
        else:
            entry, row, position = self.real
            target[row, :, position] = fresh.transpose(1, 2).flatten(0, 1)[entry]


class SlotCache(Cache):
    """Adapter between one SlotStore and the model's attention layers."""

    def __init__(self, store: SlotStore) -> None:
        super().__init__(layers=[])
        self.store = store
        self.plan: Plan | None = None

    def update(
        self, key_states: Tensor, value_states: Tensor, layer_idx: int, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        """Store the new keys and values of a layer; gives back all that the plan's rows hold, padding included."""
        plan = self.plan
        if plan is None:
            raise RuntimeError("a forward without a plan")
        keys, values = self.store.layer(layer_idx, key_states, value_states)
        plan.write(keys, key_states)
        plan.write(values, value_states)
        rows, length = plan.rows, plan.read_length
        return keys[:rows, :, :length], values[:rows, :, :length]

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """Tokens before this forward, for models that look though positions are given: exact with one row only."""
        return 0 if self.plan is None else max(self.plan.start, 0)

    def get_max_length(self, layer_idx: int | None = None) -> int:
        """No limit of its own: callers reserve."""
        return -1


def arange_rows(rows: int, device: torch.device) -> Tensor:
    """The ``row_index`` of a plan: int64 [rows, 1]."""
    return torch.arange(rows, device=device)[:, None]
