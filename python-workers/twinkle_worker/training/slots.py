"""Makes the slots of a pass; small works of one shape are stacked, so that a layer takes one product for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .adapter import Adapter, Pair
from .flat_run import Claim
from .lora_context import Segment, Slot

_MOST_ROWS = 512
"""Of a work that is stacked: larger ones fill the machine by themselves."""


def slot_of(adapter: Adapter, weights: dict[int, Pair], claim: Claim[dict[int, Pair]] | None) -> Slot:
    """Of one work, not stacked, with ``weights`` in the dtype to compute in. Only with a claim anything is left out."""
    if claim is None:
        return Slot(weights, {}, adapter.scale)
    dropout = adapter.next_dropout()
    scale = adapter.scale / (1 - adapter.spec.dropout) if dropout else adapter.scale
    return Slot(weights, claim.views, scale, dropout=dropout)


@dataclass(frozen=True, slots=True)
class Owner:
    """A work in one pass: its rows, and its adapter in the dtype to compute in.

    weights: flat [size]
    claim: where its gradient goes; None for a pass without backward
    slot: the same, not stacked
    """

    start: int
    stop: int
    adapter: Adapter
    weights: Tensor
    claim: Claim[dict[int, Pair]] | None
    slot: Slot


class PassSlots:
    """plain: a segment for each owner; layers: the same with small owners of one shape stacked, if they follow each other."""

    def __init__(self, owners: Sequence[Owner]) -> None:
        self.plain = [Segment(owner.start, owner.stop, owner.slot) for owner in owners]
        self.layers: list[Segment] = []
        self._sums: list[tuple[Claim[dict[int, Pair]], Tensor]] = []
        group: list[Owner] = []
        for owner in owners:
            if group and not _alike(group[-1], owner):
                self._close(group)
                group = []
            group.append(owner)
        self._close(group)

    def collect(self) -> None:
        """After a backward pass: hand gradients that were added up in a stack to their owners."""
        for claim, grad in self._sums:
            claim.flat.add_(grad)

    def _close(self, group: Sequence[Owner]) -> None:
        if not group:
            return
        first = group[0]
        if len(group) == 1:
            self.layers.append(Segment(first.start, first.stop, first.slot))
            return
        layout, grads = first.adapter.layout, {}
        weights = torch.stack([owner.weights for owner in group])
        if first.claim is not None:
            sums = torch.zeros(weights.shape, device=weights.device)
            grads = layout.views(sums)
            self._sums.extend(
                (owner.claim, grad) for owner, grad in zip(group, sums, strict=True) if owner.claim is not None
            )
        dropout = tuple(one for owner in group for one in owner.slot.dropout)
        slot = Slot(layout.views(weights), grads, first.slot.scale, len(group), dropout)
        self.layers.append(Segment(first.start, group[-1].stop, slot))


def _alike(one: Owner, other: Owner) -> bool:
    rows = one.stop - one.start
    first, second = one.adapter, other.adapter
    same = first.layout.targets == second.layout.targets and first.spec.rank == second.spec.rank
    scaled = one.slot.scale == other.slot.scale and first.spec.dropout == second.spec.dropout
    return rows <= _MOST_ROWS and rows == other.stop - other.start and same and scaled
