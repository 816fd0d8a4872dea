"""torch.distributed for a rank: the gang's own rendezvous in place of vLLM's ports and files, and no names left in shared memory."""

from __future__ import annotations

import contextlib
import hashlib
import os
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
import vllm.envs as envs
from vllm.platforms import current_platform

from ...protocol import LaunchSpec
from ...rendezvous import open_store

_STORE_TIMEOUT_S = 300.0
_SHARED_MEMORY = "/dev/shm"
_SOCKET_FOLDER = 107 - len("/00000000-0000-0000-0000-000000000000")
"""Length of a folder in which vLLM's socket names still make a valid address."""


def ident(launch: LaunchSpec) -> str:
    """Distinguishes this start of this gang from all others on the host; part of the names of vLLM's shared memory."""
    which = f"{launch.instance} {launch.gang} {launch.epoch} {launch.master_port}"
    return f"twinkle-{hashlib.blake2s(which.encode(), digest_size=8).hexdigest()}"


def init_method(launch: LaunchSpec) -> str:
    """vLLM's ``distributed_init_method``. Nobody connects to it, since the group is there already; its last part names shared memory."""
    return f"twinkle:{ident(launch)}"


def keep_sockets_beside(launch: LaunchSpec) -> None:
    """Have vLLM make its sockets in the folder of Node's own, which Node removes, rather than among all temporary files."""
    folder = os.path.dirname(launch.endpoint.removeprefix("ipc://"))
    if launch.endpoint.startswith("ipc://") and len(folder) <= _SOCKET_FOLDER:
        os.environ.setdefault("VLLM_RPC_BASE_PATH", folder)


def join_world(launch: LaunchSpec, timeout_s: int | None) -> None:
    """Join the gang's process group, so that vLLM finds one.

    timeout_s: of collectives, vLLM's ``distributed_timeout_seconds``; None: torch's default.
    """
    backend = current_platform.dist_backend
    if not dist.is_backend_available(backend) and current_platform.is_cpu():
        backend = "gloo"
    device = None
    if envs.VLLM_DISTRIBUTED_USE_SPLIT_GROUP and backend == "nccl":
        # vLLM then splits this group instead of making new ones, which takes a group that is bound to its device from the start.
        backend, device = "cpu:gloo,cuda:nccl", torch.device(f"cuda:{launch.local_rank}")
    dist.init_process_group(
        backend,
        store=open_store(launch, _STORE_TIMEOUT_S),
        rank=launch.rank,
        world_size=launch.world_size,
        timeout=None if timeout_s is None else timedelta(seconds=timeout_s),
        device_id=device,
    )


def join_alone() -> None:
    """A process group of this process only, for an engine without ranks: without it vLLM picks a port, or leaves a file behind."""
    from torch.distributed import HashStore  # pyright: ignore[reportPrivateImportUsage] -- public by torch's documentation

    if not dist.is_initialized():
        dist.init_process_group(current_platform.dist_backend, store=HashStore(), rank=0, world_size=1)


def forget_names(launch: LaunchSpec) -> None:
    """Unlink what vLLM's groups have in /dev/shm and their sockets' paths. Call when every rank has attached to all of it.

    Mappings and connections stay; a SIGKILL leaves nothing behind then.
    """
    from vllm.distributed import parallel_state

    for reference in list(parallel_state._groups.values()):
        group = reference()
        if group is not None and group.mq_broadcaster is not None:
            _forget_queue(group.mq_broadcaster)
    mark = ident(launch)
    for name in os.listdir(_SHARED_MEMORY) if os.path.isdir(_SHARED_MEMORY) else ():
        if mark in name:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(os.path.join(_SHARED_MEMORY, name))


def _forget_queue(queue: Any) -> None:
    ring = queue.buffer
    if ring is not None and ring.is_creator:
        with contextlib.suppress(FileNotFoundError):
            ring.shared_memory.unlink()
        ring.is_creator = False
    handle = queue.handle if getattr(queue, "handle", None) is not None else None
    for address in (getattr(handle, "local_subscribe_addr", None), getattr(handle, "local_notify_addr", None)):
        if address is not None and address.startswith("ipc://"):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(address.removeprefix("ipc://"))
