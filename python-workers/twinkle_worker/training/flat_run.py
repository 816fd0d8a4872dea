"""The flat tensors of one run: weights, gradient and an optimizer's moments; and claims, by which works add to the gradient."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Generic, TypeVar

import torch
from torch import Tensor

from .spec import OPTIMIZERS

Views = TypeVar("Views")
"""How a run takes a flat tensor apart."""
Reduce = Callable[[Tensor], None]
"""Adds a flat gradient up over ranks, in place."""


class FlatRun(Generic[Views]):
    """One run.

    flat: weights, float32 [size]
    exp_avg, exp_avg_sq: Adam's moments, float32 [size]; None before the first step. The momentum of SGD is in the first
    step: steps taken of ``optimizer``, one of spec.OPTIMIZERS, whose the moments are
    accumulated: whether ``grad`` holds anything
    summed: whether ``grad`` is the sum over all ranks already, and so the same on each
    """

    def __init__(self, flat: Tensor, views_of: Callable[[Tensor], Views]) -> None:
        self.flat = flat
        self.weights = views_of(flat)
        self.exp_avg: Tensor | None = None
        self.exp_avg_sq: Tensor | None = None
        self.step = 0
        self.optimizer = OPTIMIZERS[0]
        self.accumulated = False
        self.summed = False
        self._views_of = views_of
        self._grad: tuple[Tensor, Views] | None = None
        self._claimed = False

    @property
    def grad(self) -> Tensor:
        """The accumulated gradient, float32 [size]; made on first use, zero before any work."""
        return self._gradient()[0]

    def moments(self) -> tuple[Tensor, Tensor]:
        """exp_avg and exp_avg_sq, made on first use."""
        if self.exp_avg is None or self.exp_avg_sq is None:
            self.exp_avg, self.exp_avg_sq = torch.zeros_like(self.flat), torch.zeros_like(self.flat)
        return self.exp_avg, self.exp_avg_sq

    def use(self, optimizer: str) -> None:
        """Before a step of ``optimizer``: moments of another one are forgotten, and its steps."""
        if optimizer != self.optimizer:
            self.optimizer, self.step = optimizer, 0
            for moment in self.moments():
                moment.zero_()

    def sum_up(self, reduce: Reduce | None) -> None:
        """Make the gradient that of all ranks, unless it is; all must do it together. None: there are no others."""
        if reduce is not None and not self.summed:
            reduce(self.grad)
            self.summed = self.accumulated = True

    def divide(self, keeps: bool) -> None:
        """Before any rank adds to the gradient: of one that is summed, one rank ``keeps`` all, and the others begin anew."""
        if self.summed and not keeps:
            self.grad.zero_()
        self.summed = False

    def claim(self) -> Claim[Views]:
        """Room for the gradient of one work, to be committed or discarded.

        The first claim of an empty gradient is the gradient itself, so that the usual one work a step costs no copy; others are apart.
        Claims end in the order in which they were made.
        """
        grad, views = self._gradient()
        if self.accumulated or self._claimed:
            apart = torch.zeros_like(grad)
            return Claim(self, apart, self._views_of(apart))
        self._claimed = True
        return Claim(self, grad, views)

    def clear(self) -> None:
        """Forget the accumulated gradient."""
        if self._grad is not None:
            self.grad.zero_()
        self.accumulated = self.summed = False

    def release(self) -> None:
        """What Claim calls at the end of the claim that is the gradient itself."""
        self._claimed = False

    def _gradient(self) -> tuple[Tensor, Views]:
        if self._grad is None:
            grad = torch.zeros_like(self.flat)
            self._grad = grad, self._views_of(grad)
        return self._grad


class Claim(Generic[Views]):
    """Where one work adds up its gradient.

    flat: float32 [size]; views: of it, as the run's weights are
    """

    def __init__(self, run: FlatRun[Views], flat: Tensor, views: Views) -> None:
        self._run = run
        self.flat = flat
        self.views = views

    def commit(self) -> None:
        """Add what was collected to the run's gradient."""
        if self.flat is self._run.grad:
            self._run.release()
        else:
            self._run.grad.add_(self.flat)
        self._run.accumulated = True

    def discard(self) -> None:
        """Leave the run's gradient as it was before."""
        if self.flat is self._run.grad:
            self.flat.zero_()
            self._run.release()

    def finite(self) -> bool:
        """Whether no number is NaN or infinite."""
        return all_finite(self.flat)


def all_finite(values: Tensor) -> bool:
    """Whether no number of ``values`` is NaN or infinite."""
    # The sum, which is fast, is finite only if all are; a sum that is not may have overflowed.
    return math.isfinite(values.sum().item()) or bool(values.isfinite().all())
