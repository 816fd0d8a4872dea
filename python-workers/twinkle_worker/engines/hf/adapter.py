"""A LoRA adapter in memory. Plain data; knows nothing of files, rows and layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

Pair = tuple[Tensor, Tensor]
"""A and B as products need them, turned, and the scale in B: [in, rank] and [rank, out]. A row x of
a layer's input adds x A B to its output."""


Weights = Mapping[str, Pair]
"""By the name of the layer, each in the dtype and on the device of the layer."""


class Adapter:
    """What requests hold: one that is unloaded stays as long as they do, and new weights are new for all of them."""

    def __init__(self, name: str, weights: Weights) -> None:
        self.name = name
        self.weights = weights


Owners = Sequence[Adapter | None]
"""The adapter of each row of a batch; None: the base model answers."""


def owners_of(adapters: Owners) -> Owners | None:
    """The same; None when no row has an adapter."""
    return tuple(adapters) if any(adapter is not None for adapter in adapters) else None
