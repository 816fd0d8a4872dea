"""The process group of a gang, over a socket that Node bound: no port is ever picked by one process and bound by another."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from .protocol import LaunchSpec

if TYPE_CHECKING:
    from torch.distributed import Store  # pyright: ignore[reportPrivateImportUsage] -- public by torch's documentation


def open_store(launch: LaunchSpec, timeout_s: float) -> Store:
    """The gang's key-value store. Rank 0 serves it on the inherited listening descriptor; the others connect.

    Keys live under ``epoch-N/``: a straggler of an older start never meets a newer one.
    """
    from torch.distributed import PrefixStore, TCPStore  # pyright: ignore[reportPrivateImportUsage] -- as above

    lead = launch.rank == 0
    store = TCPStore(
        launch.master_addr,
        launch.master_port,
        launch.world_size,
        is_master=lead,
        timeout=timedelta(seconds=timeout_s),
        wait_for_workers=False,
        master_listen_fd=launch.listen_fd if lead else None,
    )
    return PrefixStore(f"epoch-{launch.epoch}/", store)


def join_process_group(launch: LaunchSpec, backend: str, timeout_s: float = 60.0) -> None:
    """``torch.distributed.init_process_group`` for this rank; backend is gloo, nccl or hccl."""
    import torch.distributed as dist

    dist.init_process_group(
        backend,
        store=open_store(launch, timeout_s),
        rank=launch.rank,
        world_size=launch.world_size,
        timeout=timedelta(seconds=timeout_s),
    )
