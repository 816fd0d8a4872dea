"""Random numbers by counting: the n-th draw of a choice depends on its key and n only, never on who shares the batch.

SplitMix64 (Steele, Lea, Flood 2014): a 64-bit counter sequence through a mixing function.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_MASK = (1 << 64) - 1
_GOLDEN = 0x9E3779B97F4A7C15
_MIX1 = 0xBF58476D1CE4E5B9
_MIX2 = 0x94D049BB133111EB


def mix(value: int) -> int:
    """SplitMix64's mixing of one 64-bit number."""
    value = (value + _GOLDEN) & _MASK
    value = ((value ^ (value >> 30)) * _MIX1) & _MASK
    value = ((value ^ (value >> 27)) * _MIX2) & _MASK
    return value ^ (value >> 31)


def choice_key(seed: int | None, index: int, entropy: random.Random) -> int:
    """Key of a choice: by seed and index when there is a seed, else from ``entropy``."""
    return mix(mix(seed & _MASK) ^ index) if seed is not None else entropy.getrandbits(64)


class UniformRows:
    """One sequence of numbers in [0, 1) for each row."""

    def __init__(self, keys: Sequence[int], drawn: Sequence[int]) -> None:
        """``drawn``: how many numbers each row has used before."""
        self._state = np.array(keys, dtype=np.uint64) + np.array(drawn, dtype=np.uint64) * np.uint64(_GOLDEN)

    def draw(self) -> NDArray[np.float64]:
        """The next number of each row."""
        self._state += np.uint64(_GOLDEN)
        mixed = self._state ^ (self._state >> np.uint64(30))
        mixed *= np.uint64(_MIX1)
        mixed ^= mixed >> np.uint64(27)
        mixed *= np.uint64(_MIX2)
        mixed ^= mixed >> np.uint64(31)
        return (mixed >> np.uint64(11)).astype(np.float64) * 2.0**-53
