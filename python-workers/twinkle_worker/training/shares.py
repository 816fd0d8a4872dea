"""Which rank computes which datums of a work. Pure: knows lengths only."""

from __future__ import annotations

from collections.abc import Sequence


def share(lengths: Sequence[int], rank: int, size: int) -> range:
    """Datums of ``rank``: consecutive ones, whose middle tokens lie in its part of all tokens."""
    total = sum(lengths)
    before = 0
    owners: list[int] = []
    for length in lengths:
        owners.append(min(size - 1, (2 * before + length) * size // max(1, 2 * total)))
        before += length
    mine = [at for at, owner in enumerate(owners) if owner == rank]
    return range(mine[0], mine[-1] + 1) if mine else range(0)
