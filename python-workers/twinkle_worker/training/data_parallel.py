"""Several ranks that train the same runs: each computes its share of every work, and all take the same steps.

A work counts on all ranks or on none, and a gradient is the sum of all shares; so the weights stay the same everywhere without being sent.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from .shares import share

if TYPE_CHECKING:
    from torch.distributed.device_mesh import DeviceMesh

    from ..protocol import LaunchSpec

_PATIENCE_S = 3600.0
"""One rank may load or compute for minutes longer than another. Whether it still lives is watched from outside, which ends them all."""


class DataParallel:
    """rank: of this process, in 0 to size - 1"""

    def __init__(self, rank: int, size: int, device: torch.device) -> None:
        self.rank = rank
        self.size = size
        self._device = device

    @staticmethod
    def join(launch: LaunchSpec, device: torch.device) -> DataParallel | None:
        """Meet the other ranks of the gang; None where there are none. Blocks until all are there."""
        if launch.world_size == 1:
            return None
        from ..rendezvous import join_process_group

        if device.type == "cuda":
            torch.cuda.set_device(device)
        join_process_group(launch, "nccl" if device.type == "cuda" else "gloo", _PATIENCE_S)
        return DataParallel(launch.rank, launch.world_size, device)

    def mesh(self) -> DeviceMesh:
        """All ranks in a row, for what is spread over them."""
        import torch.distributed as dist
        from torch.distributed.device_mesh import DeviceMesh

        everybody = dist.group.WORLD
        assert everybody is not None
        return DeviceMesh.from_group(everybody, self._device.type)

    def most(self, values: Sequence[int]) -> list[int]:
        """The highest of each value over all ranks. All must call it, for as many values."""
        import torch.distributed as dist

        highest = torch.tensor(values, dtype=torch.int32, device=self._device)
        dist.all_reduce(highest, op=dist.ReduceOp.MAX)
        return highest.tolist()

    def share(self, lengths: Sequence[int]) -> range:
        """The datums that this rank computes; the shares of all ranks follow each other in the order of ranks."""
        return share(lengths, self.rank, self.size)

    def all_agree(self, done: Sequence[bool]) -> list[bool]:
        """By work, whether it came to an end on every rank. All ranks must call it, for as many works."""
        import torch.distributed as dist

        votes = torch.tensor([int(one) for one in done], dtype=torch.int32, device=self._device)
        dist.all_reduce(votes, op=dist.ReduceOp.MIN)
        return [vote == 1 for vote in votes.tolist()]

    def add_up(self, gradient: Tensor) -> None:
        """Add a flat gradient up over all ranks, in place; every rank gets the same bits. All must call it, for the same run."""
        import torch.distributed as dist

        dist.all_reduce(gradient)
