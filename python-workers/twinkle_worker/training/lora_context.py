"""Who owns which rows of the pass that is running, and with which LoRA. Knows nothing of layers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from .adapter import Pair
from .dropout import Dropout


@dataclass(frozen=True, slots=True)
class Slot:
    """The LoRA of one work in a pass, or of several of one shape, stacked: then A is [works, rank, in] and B [works, out, rank].

    weights: by target index, in the dtype to compute in
    grads: float32, to add gradients to; empty for a pass without backward
    scale: of the update, with what makes up for dropout
    works: how many are stacked; None: one, not stacked
    dropout: of each work, for rows from their first on; empty: none
    """

    weights: dict[int, Pair]
    grads: dict[int, Pair]
    scale: float
    works: int | None = None
    dropout: tuple[Dropout, ...] = ()

    def at(self, row: int) -> Slot:
        """The same for rows that begin with that one of the work's."""
        if row == 0 or not self.dropout:
            return self
        return replace(self, dropout=tuple(one.at(row) for one in self.dropout))

    def kept(self, index: int, x: Tensor) -> Tensor | None:
        """What of the input ``x`` of a target is not left out, bool in its shape; None: all is kept. Always the same for a slot."""
        if not self.dropout:
            return None
        parts = [one.at(-1 - index).kept(x.shape[-2:], x.device) for one in self.dropout]
        return parts[0] if self.works is None else torch.stack(parts)


@dataclass(frozen=True, slots=True)
class Segment:
    """Rows start to stop (exclusive) of a pass belong to ``slot``, in equal parts if it is stacked."""

    start: int
    stop: int
    slot: Slot


class LoraContext:
    """Who owns which rows of the pass that is running; shared by all layers of a model. Without one, layers answer as the base does.

    rows: that every layer must see, 0 outside of passes
    anchor: makes autograd record layers whose input needs no gradient
    """

    def __init__(self, device: torch.device) -> None:
        self.segments: Sequence[Segment] = ()
        self.rows = 0
        self.anchor = torch.zeros((), device=device, requires_grad=True)

    @contextmanager
    def owned(self, segments: Sequence[Segment]) -> Iterator[None]:
        """While open, rows belong to ``segments``, which follow each other from row 0."""
        before = self.segments, self.rows
        self.segments, self.rows = segments, segments[-1].stop if segments else 0
        try:
            yield
        finally:
            self.segments, self.rows = before

    @contextmanager
    def window(self, start: int, stop: int) -> Iterator[None]:
        """While open, layers see only rows ``start`` to ``stop`` of the pass, counted from 0. No segment may be stacked."""
        inside = [
            Segment(
                max(piece.start - start, 0), min(piece.stop, stop) - start, piece.slot.at(max(start - piece.start, 0))
            )
            for piece in self.segments
            if piece.start < stop and piece.stop > start
        ]
        with self.owned(inside):
            yield
