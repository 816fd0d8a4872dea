"""A linear layer with a frozen weight, to which each range of rows may add the LoRA of another run.

Gradients of A and B are added straight to where the pass wants them, by one matrix product each; autograd carries only those of rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .lora_context import LoraContext, Segment
from .targets import Targets

_WIDE = "dtype_out" in torch.ops.aten.addmm.overloads()
"""Whether this torch has, on CUDA, products of narrow numbers that are added up in a float32 tensor."""


class LoraLinear(nn.Linear):
    """What :func:`install` makes of a linear layer."""

    _index: int
    _context: LoraContext

    def forward(self, input: Tensor) -> Tensor:
        """Rows [..., in] to [..., out], in the dtype of the weight."""
        context = self._context
        parts = [piece for piece in context.segments if self._index in piece.slot.weights]
        if not parts:
            return F.linear(input, self.weight, self.bias)
        if input.numel() // self.in_features != context.rows:
            raise RuntimeError(
                f"a layer received {input.numel() // self.in_features} rows of a pass of {context.rows}: "
                "this model sends tokens apart, so rows cannot be told from each other"
            )
        answer: Any = _RowsFunction.apply(input, context.anchor, self.weight, self.bias, self._index, parts)
        return answer


class _RowsFunction(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, input: Tensor, _: Tensor, weight: Tensor, bias: Tensor | None, index: int, parts: list[Segment]
    ) -> Tensor:
        rows = input.reshape(-1, weight.shape[1])
        out = F.linear(rows, weight, bias)
        downs = []
        for piece, x, y in zip(parts, _pieces(rows, parts), _pieces(out, parts), strict=True):
            a, b = piece.slot.weights[index]
            kept = piece.slot.kept(index, x)
            down = _only(x.to(a.dtype), kept) @ a.mT
            _add_product(y, down, b.mT, piece.slot.scale)
            downs.append(down)
        ctx.save_for_backward(rows, *downs)
        ctx.weight, ctx.index, ctx.parts, ctx.shape = weight, index, parts, input.shape
        # No view where it can be helped: autograd forbids writing over one, which the head does to save memory.
        return out if input.ndim == 2 else out.view(*input.shape[:-1], weight.shape[0])

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        rows, *downs = ctx.saved_tensors
        parts: list[Segment] = ctx.parts
        upper = grads[0].reshape(-1, ctx.weight.shape[0])
        lower = upper @ ctx.weight if ctx.needs_input_grad[0] else None
        lowers = [None] * len(parts) if lower is None else _pieces(lower, parts)
        for piece, down, x, y, below in zip(
            parts, downs, _pieces(rows, parts), _pieces(upper, parts), lowers, strict=True
        ):
            a, b = piece.slot.weights[ctx.index]
            grad_a, grad_b = piece.slot.grads[ctx.index]
            own, scale = y.to(a.dtype), piece.slot.scale
            kept = piece.slot.kept(ctx.index, x)
            _add_product(grad_b, own.mT, down, scale)
            grad_down = own @ b
            _add_product(grad_a, grad_down.mT, _only(x.to(a.dtype), kept), scale)
            if below is not None and kept is None:
                _add_product(below, grad_down, a, scale)
            elif below is not None:
                below.add_(_only(grad_down @ a, kept), alpha=scale)
        return None if lower is None else lower.view(ctx.shape), None, None, None, None, None


def _only(values: Tensor, kept: Tensor | None) -> Tensor:
    return values if kept is None else torch.where(kept, values, 0.0)


def _pieces(rows: Tensor, parts: Sequence[Segment]) -> list[Tensor]:
    """The rows of each part, as views: [n, width], or [works, n, width] where stacked."""
    sizes = [piece.stop - piece.start for piece in parts]
    if sum(sizes) == len(rows):  # no gap, as is usual: then one call makes all views
        pieces = [rows] if len(sizes) == 1 else rows.split(sizes)
    else:
        pieces = [rows[piece.start : piece.stop] for piece in parts]
    works = [piece.slot.works for piece in parts]
    return [own if n is None else own.view(n, -1, rows.shape[1]) for own, n in zip(pieces, works, strict=True)]


def _add_product(into: Tensor, left: Tensor, right: Tensor, scale: float) -> None:
    """``into += scale * left @ right``, added up in float32 where the two differ in dtype."""
    add = torch.addmm if into.ndim == 2 else torch.baddbmm
    if into.dtype == left.dtype and into.is_contiguous():
        add(into, left, right, alpha=scale, out=into)
    elif into.is_cuda and into.dtype == torch.float32 and _WIDE and into.is_contiguous():
        add(into, left, right, alpha=scale, out_dtype=torch.float32, out=into)
    elif into.dtype in (left.dtype, torch.float32):
        into.add_(left @ right, alpha=scale)
    else:
        into.copy_(add(into.to(left.dtype), left, right, alpha=scale))


def install(model: nn.Module, targets: Targets, context: LoraContext) -> None:
    """Make every target of ``model`` a LoraLinear. They stay the same objects, since who shards their weights has hold of them."""
    for target in targets.found:
        module: Any = model.get_submodule(target.name)
        module.__class__ = LoraLinear
        module._index, module._context = target.index, context
