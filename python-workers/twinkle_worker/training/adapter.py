"""The weights, gradients and Adam moments of one LoRA run, each in one flat tensor. Knows nothing of models and passes."""

from __future__ import annotations

import math
import secrets
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

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


class Adapter:
    """One run.

    flat: weights, float32 [size]
    exp_avg, exp_avg_sq: Adam's moments, float32 [size]; None before the first step
    step: steps taken
    accumulated: whether ``grad`` holds anything
    spec: with the seed that was drawn, where none was given
    """

    def __init__(self, spec: LoraSpec, targets: Sequence[Target], device: torch.device) -> None:
        """Weights are random by the seed: A uniform within 1 / sqrt(in), as PEFT starts it, and B zero."""
        seed = spec.seed if spec.seed is not None else secrets.randbits(63)
        self.spec = replace(spec, seed=seed)
        self.layout = AdapterLayout(targets, spec.rank)
        self.scale = spec.alpha / spec.rank
        # Drawn on the CPU, so that a seed means the same weights on every device.
        start = torch.zeros(self.layout.size)
        generator = torch.Generator().manual_seed(seed)
        for a, _ in self.layout.views(start).values():
            bound = 1 / math.sqrt(a.shape[1])
            a.uniform_(-bound, bound, generator=generator)
        self.flat = start.to(device)
        self.weights = self.layout.views(self.flat)
        self.exp_avg: Tensor | None = None
        self.exp_avg_sq: Tensor | None = None
        self.step = 0
        self.accumulated = False
        self._grad: Tensor | None = None
        self._grad_views: dict[int, Pair] = {}
        self._claimed = False

    @property
    def grad(self) -> Tensor:
        """The accumulated gradient, float32 [size]; made on first use, zero before any work."""
        if self._grad is None:
            self._grad = torch.zeros_like(self.flat)
            self._grad_views = self.layout.views(self._grad)
        return self._grad

    def moments(self) -> Pair:
        """exp_avg and exp_avg_sq, made on first use."""
        if self.exp_avg is None or self.exp_avg_sq is None:
            self.exp_avg, self.exp_avg_sq = torch.zeros_like(self.flat), torch.zeros_like(self.flat)
        return self.exp_avg, self.exp_avg_sq

    def claim(self) -> Claim:
        """Room for the gradient of one work, to be committed or discarded.

        The first claim of an empty gradient is the gradient itself, so that the usual one work a step costs no copy; others are apart.
        Claims end in the order in which they were made.
        """
        grad = self.grad
        if self.accumulated or self._claimed:
            apart = torch.zeros_like(grad)
            return Claim(self, apart, self.layout.views(apart))
        self._claimed = True
        return Claim(self, grad, self._grad_views)

    def clear(self) -> None:
        """Forget the accumulated gradient."""
        if self._grad is not None:
            self._grad.zero_()
        self.accumulated = False

    def release(self) -> None:
        """What Claim calls at the end of the claim that is the gradient itself."""
        self._claimed = False


class Claim:
    """Where one work adds up its gradient.

    flat: float32 [size]; views: its A and B by target index
    """

    def __init__(self, adapter: Adapter, flat: Tensor, views: dict[int, Pair]) -> None:
        self._adapter = adapter
        self.flat = flat
        self.views = views

    def commit(self) -> None:
        """Add what was collected to the run's gradient."""
        if self.flat is self._adapter.grad:
            self._adapter.release()
        else:
            self._adapter.grad.add_(self.flat)
        self._adapter.accumulated = True

    def discard(self) -> None:
        """Leave the run's gradient as it was before."""
        if self.flat is self._adapter.grad:
            self.flat.zero_()
            self._adapter.release()

    def finite(self) -> bool:
        """Whether no number is NaN or infinite."""
        return all_finite(self.flat)


def all_finite(values: Tensor) -> bool:
    """Whether no number of ``values`` is NaN or infinite."""
    # The sum, which is fast, is finite only if all are; a sum that is not may have overflowed.
    return math.isfinite(values.sum().item()) or bool(values.isfinite().all())
