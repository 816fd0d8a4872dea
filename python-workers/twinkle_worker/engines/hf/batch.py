"""The running batch: choices in rows 0, 1, … of the KV cache without a gap, so that a decode step reads views and copies nothing.

A choice that leaves is replaced by the last one. When memory runs short the newest choices give way.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import torch
from torch import Tensor

from .request import Choice
from .runner import DecodeInput, ModelRunner
from .sampler import Drawn, Sampler
from .slot_cache import SlotCache
from .slot_store import SlotStore, round_up

_KEEP_BYTES = 64 << 20
"""An idle cache larger than this is given back."""


class RunningBatch:
    """Choices that advance by one token in each step.

    choices: by row
    """

    def __init__(
        self, runner: ModelRunner, device: torch.device, vocabulary: int, max_rows: int, max_cells: int
    ) -> None:
        """``max_cells``: rows x length at most, in tokens; one choice of full length must fit."""
        self.choices: list[Choice] = []
        self._runner = runner
        self._device = device
        self._vocabulary = vocabulary
        self._max_rows = max_rows
        self._max_cells = max_cells
        self._store = SlotStore(device)
        self._cache = SlotCache(self._store)
        self._input: DecodeInput | None = None
        self._sampler: Sampler | None = None

    def _longest(self) -> int:
        return max((choice.kv_length for choice in self.choices), default=0)

    def places(self, length: int) -> int:
        """How many choices of ``length`` tokens could join and advance."""
        cells = round_up(max(self._longest(), length) + 1)
        return min(self._max_rows, self._max_cells // cells) - len(self.choices)

    def make_room(self) -> list[Choice]:
        """Choices that had to leave so that the others can advance; newest first."""
        leaving: list[Choice] = []
        while self.choices and self.places(0) < 0:
            newest = max(self.choices, key=lambda choice: (choice.request.arrival, choice.index))
            self.remove([newest])
            leaving.append(newest)
        return leaving

    def join(self, choices: Sequence[Choice], source: SlotStore, row: int, length: int) -> None:
        """Take choices in that share the first ``length`` tokens, held by ``row`` of ``source``."""
        self._store.reserve(len(self.choices) + len(choices), max(self._longest(), length) + 1, self._max_cells)
        for choice in choices:
            self._store.copy_row(source, row, len(self.choices), length)
            choice.kv_length = length
            self.choices.append(choice)
        self._input = self._sampler = None

    def decode(self) -> Tensor:
        """Feed each choice's last token; logits [choices, vocabulary]."""
        if self._input is None:
            self._input = DecodeInput(
                [choice.output[-1] for choice in self.choices],
                [choice.kv_length for choice in self.choices],
                self._device,
                [choice.request.adapter for choice in self.choices],
            )
        self._store.reserve(len(self.choices), self._input.longest + 1, self._max_cells)
        logits = self._runner.decode(self._cache, self._input)
        for choice in self.choices:
            choice.kv_length += 1
        return logits

    def sample(self, logits: Tensor) -> Drawn:
        """Choose a token for each row of ``logits``, which are those of all choices."""
        if self._sampler is None or self._sampler.stale:
            self._sampler = Sampler(self.choices, self._vocabulary, self._device)
        drawn = self._sampler.sample(logits)
        if self._input is not None:
            self._input.advance(drawn.tokens)
        return drawn

    def clear(self, row: int) -> None:
        """Zero the memory of a row whose numbers are broken."""
        self._store.clear_row(row)

    def remove(self, leaving: Collection[Choice]) -> None:
        """Let choices go; the last rows move into the gaps."""
        if not leaving:
            return
        for row in sorted((self.choices.index(choice) for choice in leaving), reverse=True):
            last = self.choices.pop()
            if row < len(self.choices):
                self._store.copy_row(self._store, len(self.choices), row, last.kv_length)
                self.choices[row] = last
        self._input = self._sampler = None
        if not self.choices and self._store.rows * self._store.length * self._store.bytes_per_token > _KEEP_BYTES:
            self._store.resize(0, 0)

    @property
    def tokens(self) -> int:
        """Tokens held for the running choices."""
        return sum(choice.kv_length for choice in list(self.choices))
