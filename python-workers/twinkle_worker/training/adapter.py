"""A LoRA run: where each A and B lies in its flat tensors, and how it starts. Knows nothing of models and passes."""

from __future__ import annotations

import math
import secrets
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from .dropout import Dropout, mixed
from .flat_run import FlatRun
from .spec import LoraSpec
from .targets import Target

Pair = tuple[Tensor, Tensor]
"""A [rank, in] and B [out, rank] of a target."""


class AdapterLayout:
    """Where each A and B lies in a flat tensor: A then B of each target, in the order of the targets.

    size: numbers in all
    """

    def __init__(self, targets: Sequence[Target], rank: int) -> None:
        self.targets = tuple(targets)
        self.rank = rank
        self.size = sum(rank * sum(target.shape) for target in targets)

    def views(self, flat: Tensor) -> dict[int, Pair]:
        """A and B of each target by its index, as views into ``flat`` [size], or [n, size] for n of each."""
        pairs: dict[int, Pair] = {}
        parts = iter(flat.split([size for target in self.targets for size in self._sizes(target)], dim=-1))
        for target in self.targets:
            out, into = target.shape
            pairs[target.index] = (
                next(parts).unflatten(-1, (self.rank, into)),
                next(parts).unflatten(-1, (out, self.rank)),
            )
        return pairs

    def _sizes(self, target: Target) -> tuple[int, int]:
        out, into = target.shape
        return self.rank * into, self.rank * out


class Adapter(FlatRun[dict[int, Pair]]):
    """One run.

    spec: with the seed that was drawn, where none was given
    """

    def __init__(self, spec: LoraSpec, targets: Sequence[Target], device: torch.device, place: int = 0) -> None:
        """Weights are random by the seed, A as PEFT starts it, and B zero.

        place: of this process among those that train the run, each of which leaves out others of its own rows
        """
        seed = spec.seed if spec.seed is not None else secrets.randbits(63)
        self.spec = replace(spec, seed=seed)
        self.layout = AdapterLayout(targets, spec.rank)
        self.scale = spec.scale
        self._place = place
        self._drawn = (0, 0)
        # Drawn on the CPU, so that a seed means the same weights on every device.
        start = torch.zeros(self.layout.size)
        generator = torch.Generator().manual_seed(seed)
        for a, _ in self.layout.views(start).values():
            if spec.init == "gaussian":
                a.normal_(std=1 / spec.rank, generator=generator)
            else:
                bound = 1 / math.sqrt(a.shape[1])
                a.uniform_(-bound, bound, generator=generator)
        super().__init__(start.to(device), self.layout.views)

    def next_dropout(self) -> tuple[Dropout, ...]:
        """Of the next work, as Slot has it: by the seed, the steps taken and the works since, so a run that is loaded goes on the same."""
        if self.spec.dropout == 0:
            return ()
        step, works = self._drawn
        self._drawn = self.step, works + 1 if step == self.step else 1
        return (Dropout(self.spec.dropout, mixed(self.spec.seed or 0, self._place, *self._drawn)),)
