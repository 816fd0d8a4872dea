"""Memory of a KV cache: per layer one key and one value tensor of [rows, kv heads, length, head dim], grown as needed.

A row holds one sequence from position 0 on. Who owns which row is the business of callers; shapes come from the model itself.
"""

from __future__ import annotations

import torch
from torch import Tensor

BLOCK = 64
"""Lengths are multiples of this many tokens."""


def round_up(length: int) -> int:
    """``length`` rounded up to whole blocks."""
    return -(-length // BLOCK) * BLOCK


class SlotStore:
    """Rows of keys and values. Memory starts zeroed, so that masked positions never meet a NaN of uninitialised memory."""

    def __init__(self, device: torch.device) -> None:
        self.rows = 0
        self.length = 0
        self._device = device
        self._tensors: list[Tensor] = []

    def layer(self, index: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Key and value tensor of a layer; on first sight made for the shapes of ``keys`` and ``values`` [_, heads, _, dim]."""
        at = 2 * index
        if at >= len(self._tensors):
            if at != len(self._tensors):
                raise RuntimeError(f"layer {index} writes to the KV cache before layer {len(self._tensors) // 2}")
            self._tensors += [self._zeros(like.shape[1], like.shape[3], like.dtype) for like in (keys, values)]
        return self._tensors[at], self._tensors[at + 1]

    def _zeros(self, heads: int, dim: int, dtype: torch.dtype) -> Tensor:
        return torch.zeros((self.rows, heads, self.length, dim), dtype=dtype, device=self._device)

    @property
    def bytes_per_token(self) -> int:
        """Bytes that one position of one row takes over all layers; 0 before the first forward."""
        return sum(tensor.shape[1] * tensor.shape[3] * tensor.element_size() for tensor in self._tensors)

    def reserve(self, rows: int, length: int, limit: int) -> None:
        """Have at least ``rows`` rows of ``length`` tokens; their contents stay.

        Grows geometrically while rows x length stays within ``limit`` tokens, so that long answers are not copied at every block. What
        is larger than needed in one direction is cut before the limit is passed; contents beyond the need are lost then.
        """
        if rows <= self.rows and length <= self.length:
            return
        least = max(rows, self.rows), max(round_up(length), self.length)
        roomy = (
            least[0] if rows <= self.rows else max(rows, 2 * self.rows),
            least[1] if length <= self.length else max(least[1], round_up(self.length * 3 // 2)),
        )
        for size in (roomy, least):
            if size[0] * size[1] <= limit:
                return self.resize(*size)
        return self.resize(rows, round_up(length))

    def resize(self, rows: int, length: int) -> None:
        """Allocate exactly that, one tensor after the other so that the peak is one layer; contents that fit stay."""
        old_rows, old_length = min(rows, self.rows), min(length, self.length)
        self.rows, self.length = rows, length
        for at, tensor in enumerate(self._tensors):
            fresh = self._zeros(tensor.shape[1], tensor.shape[3], tensor.dtype)
            fresh[:old_rows, :, :old_length] = tensor[:old_rows, :, :old_length]
            self._tensors[at] = fresh

    def copy_row(self, source: SlotStore, row: int, target: int, length: int) -> None:
        """Copy the first ``length`` tokens of ``row`` in ``source`` (which may be this store) to the row ``target`` here."""
        for at, origin in enumerate(source._tensors):
            if at >= len(self._tensors):
                self._tensors.append(self._zeros(origin.shape[1], origin.shape[3], origin.dtype))
            self._tensors[at][target, :, :length] = origin[row, :, :length]

    def clear_row(self, row: int) -> None:
        """Zero a row: after a NaN in it, because a masked NaN would still poison the row's next owner."""
        for tensor in self._tensors:
            tensor[row].zero_()
