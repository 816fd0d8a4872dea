"""Runs the model: builds positions, masks and plans for prefill and decode forwards. Knows nothing of requests.

Masks are additive and four-dimensional, which every decoder of transformers takes as they are, with sdpa and with eager attention.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from .adapter import Adapter, Owners, owners_of
from .lora_rows import LoraRows
from .slot_cache import Plan, SlotCache, arange_rows
from .slot_store import SlotStore

_READ_STEP = 16
"""Keys are read in multiples of this: fewer distinct shapes, and aligned masks for CUDA kernels."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """Tokens of one sequence that follow ``start`` tokens already in its row; adapter: None for the base model."""

    tokens: Sequence[int]
    start: int
    adapter: Adapter | None = None


class DecodeInput:
    """Last tokens and positions of the running rows on the device; advances without a copy from the host."""

    def __init__(
        self, tokens: Sequence[int], positions: Sequence[int], device: torch.device, adapters: Owners = ()
    ) -> None:
        """``adapters``: of the rows; empty for the base model."""
        self.tokens = torch.tensor(tokens, dtype=torch.int64, device=device)[:, None]
        self.positions = torch.tensor(positions, dtype=torch.int64, device=device)[:, None]
        self.row_index = arange_rows(len(tokens), device)
        self.longest = max(positions)
        self.owners = owners_of(adapters)

    def advance(self, tokens: Tensor) -> None:
        """Take the tokens [rows] that were just chosen as the next input."""
        self.tokens = tokens[:, None]
        self.positions += 1
        self.longest += 1


class ModelRunner:
    """Forwards of one model over stores.

    lora: who owns the rows of a forward, for the layers that ask
    """

    def __init__(self, model: Any, device: torch.device) -> None:
        self._model = model
        self._device = device
        self._dtype: torch.dtype = model.dtype
        self._masked = torch.finfo(self._dtype).min
        self._columns = torch.arange(0, device=device)
        self.lora = LoraRows(device)
        self._keeps = "logits_to_keep" in inspect.signature(model.forward).parameters

    def decode(self, cache: SlotCache, rows: DecodeInput) -> Tensor:
        """One token for each row; logits [rows, vocabulary] as float32. The store must have room for it."""
        plan = Plan(
            rows=len(rows.positions),
            read_length=self._read_length(cache.store, rows.longest + 1),
            row_index=rows.row_index,
            positions=rows.positions,
            start=rows.longest if len(rows.positions) == 1 else -1,
        )
        self.lora.plan = self.lora.decode_plan(rows.owners)
        logits = self._forward(cache, plan, rows.tokens, 1)
        return logits[:, -1].float()

    def prefill(self, cache: SlotCache, chunks: Sequence[Chunk]) -> Tensor:
        """A chunk for each of the rows 0, 1, …; logits after each chunk's last token, [rows, vocabulary] as float32."""
        plan, tokens, ends = self._prefill_plan(cache.store, chunks)
        if not self._keeps:
            return self._forward(cache, plan, tokens, 0)[torch.arange(len(ends)), ends].float()
        kept = sorted(set(ends))
        index = torch.tensor(kept, device=self._device)
        logits = self._forward(cache, plan, tokens, index)
        return logits[torch.arange(len(ends)), [kept.index(end) for end in ends]].float()

    def prefill_all(self, cache: SlotCache, chunk: Chunk) -> Tensor:
        """One chunk in row 0; the logits after each of its tokens, [tokens, vocabulary] as float32."""
        plan, tokens, _ = self._prefill_plan(cache.store, [chunk])
        return self._forward(cache, plan, tokens, 0)[0].float()

    def _prefill_plan(self, store: SlotStore, chunks: Sequence[Chunk]) -> tuple[Plan, Tensor, list[int]]:
        width = max(len(chunk.tokens) for chunk in chunks)
        end = max(chunk.start + len(chunk.tokens) for chunk in chunks)
        table = [[*chunk.tokens, *([0] * (width - len(chunk.tokens)))] for chunk in chunks]
        tokens = torch.tensor(table, dtype=torch.int64, device=self._device)
        starts = torch.tensor([chunk.start for chunk in chunks], device=self._device)
        # A padding entry repeats the last position, so that position embeddings are never asked beyond the model's length.
        steps = torch.arange(width, device=self._device)
        ends = [len(chunk.tokens) - 1 for chunk in chunks]
        self.lora.plan = self.lora.prefill_plan(owners_of([chunk.adapter for chunk in chunks]))
        positions = starts[:, None] + torch.minimum(steps, torch.tensor(ends, device=self._device)[:, None])
        real = None
        if any(end_index != width - 1 for end_index in ends):
            row, column = (steps <= torch.tensor(ends, device=self._device)[:, None]).nonzero(as_tuple=True)
            real = (row * width + column, row, positions[row, column])
        plan = Plan(
            rows=len(chunks),
            read_length=self._read_length(store, end),
            row_index=arange_rows(len(chunks), self._device),
            positions=positions,
            real=real,
            start=chunks[0].start if len(chunks) == 1 else -1,
        )
        return plan, tokens, ends

    def _read_length(self, store: SlotStore, length: int) -> int:
        return min(-(-length // _READ_STEP) * _READ_STEP, store.length)

    def _forward(self, cache: SlotCache, plan: Plan, tokens: Tensor, keep: int | Tensor) -> Tensor:
        if len(self._columns) < plan.read_length:
            self._columns = torch.arange(cache.store.length, device=self._device)
        hidden = self._columns[: plan.read_length] > plan.positions[:, :, None]
        mask = torch.zeros(hidden.shape, dtype=self._dtype, device=self._device).masked_fill_(hidden, self._masked)
        cache.plan = plan
        extra = {"logits_to_keep": keep} if self._keeps else {}
        output = self._model(
            input_ids=tokens,
            attention_mask=mask[:, None],
            position_ids=plan.positions,
            past_key_values=cache,
            use_cache=True,
            **extra,
        )
        cache.plan = self.lora.plan = None
        return output.logits
