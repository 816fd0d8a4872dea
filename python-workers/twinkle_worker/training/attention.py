"""Causal attention inside each sequence of a packed row, as an attention function of transformers.

Registered without a mask function, so transformers makes no mask; the layout of the pass comes as the keyword ``packed``.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..engines.base import LoadError
from .packed import Block, PackedLayout

NAME = "twinkle_packed"
_UNSUPPORTED = ("softcap", "s_aux", "position_bias")
"""What some models ask of their attention and this one does not do."""


def use_packed_attention(model: Any) -> None:
    """Have ``model`` attend with :func:`packed_attention` from now on. Raises LoadError where it cannot."""
    from transformers import AttentionInterface

    AttentionInterface.register(NAME, packed_attention)
    model.set_attn_implementation(NAME)
    if model.config.get_text_config()._attn_implementation != NAME:
        raise LoadError(f"{type(model).__name__} does not let its attention be replaced, so it cannot be trained here")


def packed_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    sliding_window: int | None = None,
    packed: PackedLayout | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """Attend inside each sequence of ``packed``.

    query [1, heads, T, D], key and value [1, key heads, T, D]; gives [1, T, heads, D]. ``sliding_window``: tokens that one sees, itself
    included. Raises RuntimeError for what a model asks and this function does not do.
    """
    if packed is None:
        raise RuntimeError("this model does not hand its keyword arguments down to its attention")
    asked = [name for name in _UNSUPPORTED if kwargs.get(name) is not None]
    if asked or attention_mask is not None or dropout or not getattr(module, "is_causal", True):
        raise RuntimeError(
            f"attention with {', '.join(asked) or 'a mask, dropout or without causality'} is not done here"
        )
    if packed.seen is not None:
        packed.seen.append((module, sliding_window))
    window = sliding_window if sliding_window is not None and sliding_window < packed.longest else None
    if query.is_cuda and _varlen is not None and _fits_varlen(query, value):
        bounds, longest = packed.bounds, packed.longest
        rows = (part[0].transpose(0, 1) for part in (query, key, value))
        left = -1 if window is None else window - 1
        out = _varlen(
            *rows,
            bounds,
            bounds,
            longest,
            longest,
            scale=scaling,
            window_size=(left, 0),
            enable_gqa=query.shape[1] != key.shape[1],
        )
        return out.unsqueeze(0), None
    # Split at once: on the way back that is one concatenation, where views of one block each would each fill a whole tensor.
    sizes = [block.count * block.length for block in packed.blocks]
    columns = [[states] if len(sizes) == 1 else states.split(sizes, dim=1) for states in (query[0], key[0], value[0])]
    parts = [
        _attend(packed, block, states, scaling, window)
        for block, states in zip(packed.blocks, zip(*columns, strict=True), strict=True)
    ]
    return (parts[0] if len(parts) == 1 else torch.cat(parts)).unsqueeze(0), None


def _attend(
    packed: PackedLayout, block: Block, states: Sequence[Tensor], scaling: float | None, window: int | None
) -> Tensor:
    """From query, key and value [heads, rows of the block, D] to [rows, heads, D]: sequences of equal length are a batch."""
    query, key, value = (part.unflatten(1, (block.count, block.length)).transpose(0, 1) for part in states)
    masked = window is not None and window < block.length
    out = F.scaled_dot_product_attention(
        query,
        key,
        value,
        attn_mask=packed.window_mask(block.length, window) if masked and window is not None else None,
        is_causal=not masked,
        scale=scaling,
        enable_gqa=query.shape[1] != key.shape[1],
    )
    return out.transpose(1, 2).flatten(0, 1)


def _fits_varlen(query: Tensor, value: Tensor) -> bool:
    half = query.dtype in (torch.bfloat16, torch.float16)
    return half and query.shape[3] == value.shape[3] <= 256 and query.shape[3] % 8 == 0


def _find_varlen() -> Any:
    """torch's attention over ragged sequences, or None in a torch whose own does not take windows and grouped heads."""
    try:
        from torch.nn.attention.varlen import varlen_attn
    except ImportError:
        return None
    return varlen_attn if {"window_size", "enable_gqa"} <= inspect.signature(varlen_attn).parameters.keys() else None


_varlen = _find_varlen()
