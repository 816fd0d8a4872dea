"""Which rows of the running forward have which adapter, and what each layer adds for that. Knows nothing of layers' own weights.

A row of the batch has one adapter. In a decode step, adapters with few rows each are computed by one batched product.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence

import torch

from .adapter import Adapter, Owners
from .lora_stack import Stack, StackedRows, stackable
from .lora_update import OwnRows, Update, select_rows

log = logging.getLogger(__name__)


class LoraRows:
    """What all LoRA layers of a model look at.

    plan: of the running forward; None: no row has an adapter
    """

    def __init__(self, device: torch.device) -> None:
        self.plan: LoraPlan | None = None
        self._device = device
        self._stack: Stack | None = None
        self._decode: tuple[Owners, LoraPlan] | None = None

    def forget(self, adapter: Adapter) -> None:
        """Its weights have changed or shall go: nothing that was made of them is used again."""
        if self._stack is not None and adapter in self._stack.adapters:
            self._stack = None
        if self._decode is not None and adapter in self._decode[0]:
            self._decode = None

    def prefill_plan(self, owners: Owners | None) -> LoraPlan | None:
        """For rows of many tokens each."""
        return None if owners is None else LoraPlan(owners, (), None, self._device)

    def decode_plan(self, owners: Owners | None) -> LoraPlan | None:
        """For rows of one token each; kept as long as ``owners`` is the same object."""
        if owners is None:
            return None
        if self._decode is None or self._decode[0] is not owners:
            together = stackable(owners)
            self._decode = owners, LoraPlan(owners, together, self._stack_of(together), self._device)
        return self._decode[1]

    def _stack_of(self, adapters: Sequence[Adapter]) -> Stack | None:
        if adapters and (self._stack is None or not self._stack.serves(adapters)):
            before, self._stack = self._stack, None
            try:
                self._stack = Stack.of(adapters, before)
            except torch.OutOfMemoryError:
                log.warning(
                    "no memory to stack %d adapters: each is computed by itself, which is slower", len(adapters)
                )
        return self._stack


class LoraPlan:
    """The updates of each layer in a forward."""

    def __init__(
        self, owners: Owners, together: Collection[Adapter], stack: Stack | None, device: torch.device
    ) -> None:
        """``together``: those that are computed by ``stack``, if there is one."""
        rows: dict[Adapter, list[int]] = {}
        for row, adapter in enumerate(owners):
            if adapter is not None:
                rows.setdefault(adapter, []).append(row)
        stacked = {adapter: rows.pop(adapter) for adapter in together} if stack is not None else {}
        self._stacked = StackedRows(stack, stacked, len(owners), device) if stack is not None and stacked else None
        self._single = [(adapter.weights, select_rows(own, device)) for adapter, own in rows.items()]
        self._updates: dict[str, list[Update]] = {}

    def updates(self, layer: str) -> Sequence[Update]:
        """What is to be added to the output of a layer, by its name."""
        known = self._updates.get(layer)
        if known is not None:
            return known
        found: list[Update] = [OwnRows(rows, *weights[layer]) for weights, rows in self._single if layer in weights]
        together = None if self._stacked is None else self._stacked.update(layer)
        if together is not None:
            found.append(together)
        self._updates[layer] = found
        return found
