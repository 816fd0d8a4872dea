"""Several adapters in one batched product: their weights stacked, smaller ranks filled up with zeros. For decode steps."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .adapter import Adapter, Owners, Pair


def stackable(owners: Owners) -> list[Adapter]:
    """Adapters worth computing together: each gets as many places as the largest has rows, so those with far more rows stay apart."""
    counts = Counter(adapter for adapter in owners if adapter is not None)
    if len(counts) < 2:
        return []
    middle = sorted(counts.values())[(len(counts) - 1) // 2]
    found = [adapter for adapter, count in counts.items() if count <= 2 * middle + 2]
    return found if len(found) > 1 else []


class Stack:
    """Copies of the weights of some adapters.

    adapters: in the order of the stack
    pairs: by layer, A [adapters, in, rank] and B [adapters, rank, out]; zero for an adapter that has none there
    """

    def __init__(self, adapters: Sequence[Adapter]) -> None:
        self.adapters = tuple(adapters)
        layers = dict.fromkeys(layer for adapter in adapters for layer in adapter.weights)
        self.pairs: dict[str, Pair] = {layer: self._stacked(layer) for layer in layers}

    @classmethod
    def of(cls, adapters: Sequence[Adapter], before: Stack | None) -> Stack:
        """For ``adapters``, and for those of ``before`` that may come back as long as they are not the larger part."""
        idle = [] if before is None else [adapter for adapter in before.adapters if adapter not in adapters]
        return cls([*adapters, *idle[-len(adapters) :]])

    def serves(self, adapters: Collection[Adapter]) -> bool:
        """Whether it holds all of ``adapters``, and not many more."""
        return len(self.adapters) <= 2 * len(adapters) and set(adapters) <= set(self.adapters)

    def _stacked(self, layer: str) -> Pair:
        pairs = [(at, adapter.weights[layer]) for at, adapter in enumerate(self.adapters) if layer in adapter.weights]
        first_a, first_b = pairs[0][1]
        rank = max(len(b) for _, (_, b) in pairs)
        a = first_a.new_zeros((len(self.adapters), len(first_a), rank))
        b = first_b.new_zeros((len(self.adapters), rank, first_b.shape[1]))
        for at, (own_a, own_b) in pairs:
            a[at, :, : len(own_b)], b[at, : len(own_b)] = own_a, own_b
        return a, b


@dataclass(frozen=True, slots=True)
class StackedUpdate:
    """See lora_update.Update.

    rows: the row at each place of the stack, int64 [adapters x places]; any row where a place is free
    changed: rows that are changed, int64 [n]; None: all, in order
    places: of ``changed``, int64 [n]
    """

    a: Tensor
    b: Tensor
    rows: Tensor
    changed: Tensor | None
    places: Tensor

    def add(self, input: Tensor, output: Tensor) -> None:
        """See Update."""
        x = input.index_select(0, self.rows).view(len(self.a), -1, self.a.shape[1])
        sums = torch.bmm(torch.bmm(x, self.a), self.b).view(-1, *output.shape[1:]).index_select(0, self.places)
        if self.changed is None:
            output.add_(sums)
        else:
            output.index_add_(0, self.changed, sums)


class StackedRows:
    """Which rows of a batch have which place in a stack."""

    def __init__(self, stack: Stack, rows: Mapping[Adapter, Sequence[int]], total: int, device: torch.device) -> None:
        """``rows``: of each adapter, of ``total`` rows of the batch."""
        self._stack = stack
        most = max(map(len, rows.values()))
        table = [[*rows.get(adapter, ()), *[0] * (most - len(rows.get(adapter, ())))] for adapter in stack.adapters]
        places = sorted(
            (row, at * most + place)
            for at, adapter in enumerate(stack.adapters)
            for place, row in enumerate(rows.get(adapter, ()))
        )
        self._rows = torch.tensor(table, device=device).flatten()
        self._changed = None if len(places) == total else torch.tensor([row for row, _ in places], device=device)
        self._places = torch.tensor([place for _, place in places], device=device)

    def update(self, layer: str) -> StackedUpdate | None:
        """For a layer; None when no adapter of the stack has it."""
        pair = self._stack.pairs.get(layer)
        return None if pair is None else StackedUpdate(*pair, self._rows, self._changed, self._places)
