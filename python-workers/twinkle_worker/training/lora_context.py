"""Who owns which rows of the pass that is running, and with which LoRA. Knows nothing of layers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from .adapter import Pair


@dataclass(frozen=True, slots=True)
class Slot:
    """The LoRA of one work in a pass, or of several of one shape, stacked: then A is [works, rank, in] and B [works, out, rank].

    weights: by target index, in the dtype to compute in
    grads: float32, to add gradients to; empty for a pass without backward
    scale: of the update
    works: how many are stacked; None: one, not stacked
    """

    weights: dict[int, Pair]
    grads: dict[int, Pair]
    scale: float
    works: int | None = None


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
            Segment(max(piece.start - start, 0), min(piece.stop, stop) - start, piece.slot)
            for piece in self.segments
            if piece.start < stop and piece.stop > start
        ]
        with self.owned(inside):
            yield
