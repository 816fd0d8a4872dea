"""Properties of the packing of works into passes."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from twinkle_worker.training.batching import Part, plan_passes
from twinkle_worker.training.packed import Block, PackedLayout

LENGTHS = st.lists(st.integers(1, 40), min_size=1, max_size=12)


@given(st.lists(LENGTHS, min_size=1, max_size=6), st.integers(1, 100))
def test_every_datum_passes_once_in_order_and_within_the_limit(works: list[list[int]], limit: int) -> None:
    passes = plan_passes(works, limit)
    seen: list[tuple[int, int]] = []
    for parts in passes:
        own = [(part.work, at) for part in parts for at in range(part.first, part.last)]
        assert own
        assert sum(works[work][at] for work, at in own) <= limit or len(own) == 1
        assert len({part.work for part in parts}) == len(parts)
        seen += own
        for part in parts:
            assert part.start == sum(works[part.work][: part.first])
            assert part.stop == sum(works[part.work][: part.last])
    assert seen == [(work, at) for work, lengths in enumerate(works) for at in range(len(lengths))]


@given(st.lists(LENGTHS, min_size=1, max_size=6), st.integers(40, 100))
def test_a_pass_ends_only_where_the_next_datum_does_not_fit(works: list[list[int]], limit: int) -> None:
    passes = plan_passes(works, limit)
    for parts, after in pairwise(passes):
        tokens = sum(part.stop - part.start for part in parts)
        assert tokens + works[after[0].work][after[0].first] > limit


def test_a_datum_over_the_limit_passes_alone() -> None:
    assert plan_passes([[3, 90], [4]], 10) == [[Part(0, 0, 1, 0, 3)], [Part(0, 1, 2, 3, 93)], [Part(1, 0, 1, 0, 4)]]


@given(LENGTHS)
def test_positions_and_bounds_restart_in_each_sequence(lengths: list[int]) -> None:
    layout = PackedLayout(lengths, torch.device("cpu"))
    assert layout.positions.tolist() == [[at for length in lengths for at in range(length)]]
    assert layout.bounds.tolist() == [sum(lengths[:at]) for at in range(len(lengths) + 1)]
    assert layout.bounds.dtype == torch.int32
    rows = [(block.start + at * block.length, block.length) for block in layout.blocks for at in range(block.count)]
    assert rows == [(sum(lengths[:at]), length) for at, length in enumerate(lengths)]


def test_equal_neighbours_are_one_block() -> None:
    assert PackedLayout([4, 4, 2, 4], torch.device("cpu")).blocks == (Block(0, 2, 4), Block(8, 1, 2), Block(10, 1, 4))


@pytest.mark.parametrize("window", [1, 3, 5])
def test_a_window_counts_the_token_itself(window: int) -> None:
    mask = PackedLayout([5], torch.device("cpu")).window_mask(5, window)
    assert mask.tolist() == [[max(0, q - window + 1) <= k <= q for k in range(5)] for q in range(5)]
