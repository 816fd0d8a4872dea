"""Proves at load that a model answers the same through our batching as by itself, and warms its kernels up on the way.

This is what catches models that ignore positions, masks or the cache: they are refused instead of answering wrongly.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..base import LoadError, Progress
from .runner import Chunk, DecodeInput, ModelRunner
from .slot_cache import SlotCache
from .slot_store import SlotStore

_TOLERANCE = {torch.float32: 2e-3, torch.float64: 2e-3}
_HALF_TOLERANCE = 0.25
"""Relative to the spread of the logits. Half precision is noisy, more so with experts; a wrong mask or position is off by about 1."""


def self_check(model: Any, runner: ModelRunner, device: torch.device, vocabulary: int, progress: Progress) -> int:
    """Compare logits of ragged prefill, a second chunk, and batched decode with plain forwards. Raises LoadError.

    Gives back the bytes of KV cache that one token takes.
    """
    long = [(7919 * at + 13) % vocabulary for at in range(14)]
    short = [(104729 * at + 31) % vocabulary for at in range(7)]
    try:
        progress("warmup", 0.0, "plain forward")
        plain = [_plain_logits(model, tokens, device) for tokens in (long, short)]
        progress("warmup", 0.3, "prefill")
        store, rows = SlotStore(device), SlotStore(device)
        store.reserve(2, 16, 1 << 10)
        rows.reserve(2, 16, 1 << 10)
        staging, batch = SlotCache(store), SlotCache(rows)
        first = runner.prefill(staging, [Chunk(long[:9], 0), Chunk(short[:5], 0)])
        second = runner.prefill(staging, [Chunk(long[9:12], 9)])
        rows.copy_row(store, 0, 0, 12)
        rows.copy_row(store, 1, 1, 5)
        progress("warmup", 0.6, "decode")
        feed = DecodeInput([long[12], short[5]], [12, 5], device)
        third = runner.decode(batch, feed)
        feed.advance(torch.tensor([long[13], short[6]], device=device))
        fourth = runner.decode(batch, feed)
        alone = runner.decode(batch, DecodeInput([long[13]], [13], device))
    except Exception as error:
        raise LoadError(
            f"{type(model).__name__} does not run with a batched KV cache: {type(error).__name__}: {error}"
        ) from error
    got = [first[0], first[1], second[0], third[0], third[1], fourth[0], fourth[1], alone[0]]
    expected = [
        plain[0][8],
        plain[1][4],
        plain[0][11],
        plain[0][12],
        plain[1][5],
        plain[0][13],
        plain[1][6],
        plain[0][13],
    ]
    worst = max(distance(ours, theirs) for ours, theirs in zip(got, expected, strict=True))
    if not worst <= tolerance(model.dtype):
        raise LoadError(
            f"{type(model).__name__} answers differently in a batch (off by {worst:.3g} of its logits' spread): "
            "it does not take the positions, masks or cache of this engine, which serves full attention with rotary or learned positions"
        )
    return store.bytes_per_token


def _plain_logits(model: Any, tokens: list[int], device: torch.device) -> Tensor:
    return model(input_ids=torch.tensor([tokens], device=device), use_cache=False).logits[0].float()


def tolerance(dtype: torch.dtype) -> float:
    """How far logits of a model in ``dtype`` may be off, as :func:`distance` measures it."""
    return _TOLERANCE.get(dtype, _HALF_TOLERANCE)


def distance(ours: Tensor, theirs: Tensor) -> float:
    """By how much two logits of one shape differ, as a part of their spread."""
    spread = (theirs - theirs.mean()).norm().clamp_min(1e-6)
    return float((ours - theirs).norm() / spread)
