"""Packs the sequences of several works into passes of bounded size. Pure: knows lengths only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Part:
    """Datums (or groups of them) first to last (exclusive) of a work, and the rows that they take in the work's own flat tensors."""

    work: int
    first: int
    last: int
    start: int
    stop: int


def plan_passes(lengths: Sequence[Sequence[int]], max_tokens: int) -> list[list[Part]]:
    """Passes in which every datum of every work comes once, in order; a pass holds at most one part of a work.

    lengths: tokens of each datum of each work, or of each group that must stay together. A pass holds at most ``max_tokens`` tokens, or
        one datum or group that alone is longer.
    """
    passes: list[list[Part]] = []
    room = 0
    for work, datums in enumerate(lengths):
        row = 0
        for at, length in enumerate(datums):
            if not passes or length > room:
                passes.append([])
                room = max_tokens
            room -= length
            last = passes[-1][-1] if passes[-1] else None
            if last is not None and last.work == work:
                passes[-1][-1] = Part(work, last.first, at + 1, last.start, row + length)
            else:
                passes[-1].append(Part(work, at, at + 1, row, row + length))
            row += length
    return passes
