"""Muon for the matrices, AdamW for the rest. Muon (momentum made orthogonal) learns rare facts in fewer steps."""

from __future__ import annotations

from collections import defaultdict

import torch
from transformers import Qwen3ForCausalLM

# Coefficients of the quintic whose iteration drives all singular values towards 1 (K. Jordan, "Muon", 2024).
_A, _B, _C = 3.4445, -4.7750, 2.0315


def orthogonal(stack: torch.Tensor, rounds: int = 5) -> torch.Tensor:
    """About the nearest semi-orthogonal matrices of a stack (count, rows, columns), computed in its dtype."""
    flat = stack.shape[1] <= stack.shape[2]
    x = stack if flat else stack.mT
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(rounds):
        gram = x @ x.mT
        x = _A * x + (_B * gram + _C * gram @ gram) @ x
    return x if flat else x.mT


class Muon:
    """Nesterov momentum, made orthogonal, for matrices of equal shapes together.

    rate is the change of a square matrix's spectral norm per step; tall matrices move by more, as sqrt(rows / columns).
    """

    def __init__(self, matrices: list[torch.nn.Parameter], momentum: float = 0.95, decay: float = 0.02) -> None:
        """Keep one momentum buffer per shape."""
        shapes: defaultdict[torch.Size, list[torch.nn.Parameter]] = defaultdict(list)
        for matrix in matrices:
            shapes[matrix.shape].append(matrix)
        self._groups = [
            (group, torch.zeros(len(group), *shape, device=group[0].device)) for shape, group in shapes.items()
        ]
        self._momentum, self._decay = momentum, decay

    @torch.no_grad()
    def step(self, rate: float) -> None:
        """Update every matrix from its gradient."""
        for group, buffer in self._groups:
            gradient = torch.stack([matrix.grad for matrix in group if matrix.grad is not None])
            buffer.lerp_(gradient, 1 - self._momentum)
            update = orthogonal(gradient.lerp(buffer, self._momentum))
            scale = rate * max(1.0, update.shape[1] / update.shape[2]) ** 0.5
            for matrix, change in zip(group, update, strict=True):
                matrix.mul_(1 - rate * self._decay).sub_(change, alpha=scale)
                matrix.grad = None


class Optimizers:
    """Both optimizers with peak rates of their own and one common factor."""

    def __init__(self, model: Qwen3ForCausalLM, matrix_rate: float, other_rate: float) -> None:
        """Matrices of the layers go to Muon; the embedding (tied to the output) and the norms go to AdamW."""
        matrices = [p for name, p in model.named_parameters() if p.ndim == 2 and "embed" not in name]
        others = [p for name, p in model.named_parameters() if p.ndim != 2 or "embed" in name]
        self._muon, self._matrix_rate, self._other_rate = Muon(matrices), matrix_rate, other_rate
        self._adam = torch.optim.AdamW(others, lr=other_rate, betas=(0.9, 0.97), weight_decay=0.0, fused=True)

    def step(self, factor: float) -> None:
        """Step both at ``factor`` times their peak rates, and drop the gradients."""
        self._muon.step(self._matrix_rate * factor)
        for group in self._adam.param_groups:
            group["lr"] = self._other_rate * factor
        self._adam.step()
        self._adam.zero_grad()
