"""Sequences end to end in one row without padding: where each begins, its positions, and which can be attended to together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class Block:
    """``count`` sequences of ``length`` tokens each, one after the other from row ``start``."""

    start: int
    count: int
    length: int


class PackedLayout:
    """The sequences of one pass.

    total: rows in all; longest: tokens
    seen: while a list, attention adds each module that attends and its window (None: full)
    """

    def __init__(self, lengths: Sequence[int], device: torch.device) -> None:
        """``lengths``: tokens of each sequence, at least 1."""
        self.device = device
        self.lengths = tuple(lengths)
        self.total = sum(lengths)
        self.longest = max(lengths)
        self.blocks = _blocks(lengths)
        self.seen: list[tuple[nn.Module, int | None]] | None = None
        self._masks: dict[tuple[int, int], Tensor] = {}

    @cached_property
    def positions(self) -> Tensor:
        """int64 [1, total]: counts from 0 in each sequence."""
        whole = torch.arange(self.longest)
        return torch.cat([whole[:length] for length in self.lengths]).unsqueeze(0).to(self.device)

    @cached_property
    def bounds(self) -> Tensor:
        """int32 [sequences + 1]: where each sequence begins, then the total."""
        ends = torch.tensor((0, *self.lengths), dtype=torch.int32).cumsum(0, dtype=torch.int32)
        return ends.to(self.device)

    def window_mask(self, length: int, window: int) -> Tensor:
        """bool [length, length]: each token sees itself and the window - 1 before it."""
        key = length, window
        if key not in self._masks:
            full = torch.ones(length, length, dtype=torch.bool, device=self.device).tril()
            self._masks[key] = full.triu(1 - window)
        return self._masks[key]


def _blocks(lengths: Sequence[int]) -> tuple[Block, ...]:
    blocks: list[Block] = []
    start = 0
    for length in lengths:
        if blocks and blocks[-1].length == length:
            blocks[-1] = Block(blocks[-1].start, blocks[-1].count + 1, length)
        else:
            blocks.append(Block(start, 1, length))
        start += length
    return tuple(blocks)
