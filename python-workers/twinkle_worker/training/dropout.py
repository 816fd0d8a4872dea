"""Which numbers of a LoRA's input are left out. Nothing is kept of it: where it is needed again, it is drawn again, and is the same."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Dropout:
    """What one work leaves out, in all layers.

    rate: share of the numbers, above 0 and below 1
    seed: of 64 bits; another one leaves out others
    """

    rate: float
    seed: int

    def at(self, *place: int) -> Dropout:
        """The same for another place: other numbers are left out there."""
        return Dropout(self.rate, mixed(self.seed, *place))

    def kept(self, shape: torch.Size, device: torch.device) -> Tensor:
        """bool of ``shape``: what is not left out."""
        generator = torch.Generator(device).manual_seed(self.seed)
        return torch.empty(shape, dtype=torch.bool, device=device).bernoulli_(1 - self.rate, generator=generator)


def mixed(*numbers: int) -> int:
    """One number of 64 bits, which has nothing to do with that of other ``numbers``, each of -2**63 to 2**64 - 1."""
    content = b"".join((number % 2**64).to_bytes(8, "little") for number in numbers)
    return int.from_bytes(blake2b(content, digest_size=8).digest(), "little")
