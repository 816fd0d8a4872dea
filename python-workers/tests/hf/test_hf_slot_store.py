"""The memory of the KV cache: growing, copying and shrinking keep what must be kept."""

from __future__ import annotations

import torch

from twinkle_worker.engines.hf.slot_store import BLOCK, SlotStore, round_up

CPU = torch.device("cpu")
MANY = 1 << 20


def filled(rows: int, length: int) -> SlotStore:
    """A store of two layers with other numbers everywhere; value heads are wider than key heads."""
    store = SlotStore(CPU)
    store.reserve(rows, length, MANY)
    for layer in range(2):
        keys, values = store.layer(layer, torch.zeros(1, 2, 1, 4), torch.zeros(1, 2, 1, 6))
        keys.copy_(torch.arange(keys.numel()).view_as(keys) + layer)
        values.copy_(-torch.arange(values.numel()).view_as(values) - layer)
    return store


def contents(store: SlotStore, row: int, length: int) -> list[torch.Tensor]:
    like = torch.zeros(1, 2, 1, 4), torch.zeros(1, 2, 1, 6)
    return [tensor[row, :, :length].clone() for layer in range(2) for tensor in store.layer(layer, *like)]


def same(first: list[torch.Tensor], second: list[torch.Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_lengths_are_whole_blocks_and_bytes_are_counted() -> None:
    store = filled(1, 5)
    assert (store.rows, store.length) == (1, BLOCK)
    assert [round_up(n) for n in (0, 1, BLOCK, BLOCK + 1)] == [0, BLOCK, BLOCK, 2 * BLOCK]
    assert store.bytes_per_token == 2 * (2 * 4 + 2 * 6) * 4


def test_growing_keeps_contents_and_zeroes_the_rest() -> None:
    store = filled(2, BLOCK)
    before = [contents(store, row, BLOCK) for row in range(2)]
    store.reserve(3, BLOCK + 1, MANY)
    assert store.rows >= 3
    assert store.length >= 2 * BLOCK
    assert all(same(before[row], contents(store, row, BLOCK)) for row in range(2))
    assert all(not tensor.any() for tensor in contents(store, 2, store.length))
    assert all(not tensor[:, BLOCK:].any() for tensor in contents(store, 0, store.length))


def test_growth_is_geometric_until_the_limit() -> None:
    store = SlotStore(CPU)
    store.reserve(4, 10 * BLOCK, MANY)
    store.reserve(5, 11 * BLOCK, MANY)
    assert (store.rows, store.length) == (8, 15 * BLOCK)
    tight = SlotStore(CPU)
    tight.reserve(4, 10 * BLOCK, MANY)
    tight.reserve(5, 11 * BLOCK, limit=60 * BLOCK)
    assert (tight.rows, tight.length) == (5, 11 * BLOCK)


def test_rows_are_copied_within_and_between_stores() -> None:
    store, other = filled(3, BLOCK), SlotStore(CPU)
    store.copy_row(store, 2, 0, 10)
    assert same(contents(store, 0, 10), contents(store, 2, 10))
    other.reserve(2, BLOCK, MANY)
    other.copy_row(store, 1, 1, 20)
    assert same(contents(other, 1, 20), contents(store, 1, 20))
    assert all(not tensor.any() for tensor in contents(other, 0, BLOCK))


def test_clearing_a_row_leaves_the_others() -> None:
    store = filled(2, BLOCK)
    kept = contents(store, 0, BLOCK)
    store.clear_row(1)
    assert same(kept, contents(store, 0, BLOCK))
    assert not any(t.any() for t in contents(store, 1, BLOCK))


def test_resizing_to_nothing_and_back() -> None:
    store = filled(2, BLOCK)
    store.resize(0, 0)
    assert store.bytes_per_token > 0
    store.reserve(1, 3, MANY)
    assert all(not tensor.any() for tensor in contents(store, 0, BLOCK))


def test_what_is_too_large_in_one_direction_is_cut_before_the_limit_is_passed() -> None:
    store = filled(64, BLOCK)
    kept = contents(store, 0, BLOCK)
    store.reserve(1, 20 * BLOCK, limit=64 * BLOCK)
    assert (store.rows, store.length) == (1, 20 * BLOCK)
    assert same(kept, contents(store, 0, BLOCK))
