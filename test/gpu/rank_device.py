"""What a rank's Python sees of its device, and an all-reduce with the others through NCCL. Runs in the environment of a rank.

Argument: port of rank 0, for ranks of one box. Prints one JSON line.
"""

from __future__ import annotations

import json
import os
import sys
import time

import torch
import torch.distributed as dist

MIB = 1 << 20
SIZE = 256 * MIB
WARM_ROUNDS = 5
ROUNDS = 50


def main() -> None:
    """The device first: without a group it is still said."""
    seen = [str(torch.cuda.get_device_properties(at).uuid) for at in range(torch.cuda.device_count())]
    mask = os.environ["CUDA_VISIBLE_DEVICES"]
    said: dict[str, object] = {"rank": int(os.environ["RANK"]), "uuids": seen, "mask": mask}
    os.environ["MASTER_PORT"] = sys.argv[1]
    dist.init_process_group("nccl", device_id=torch.device("cuda:0"))
    try:
        numbers = torch.full((SIZE // 4,), float(dist.get_rank() + 1), device="cuda")
        dist.all_reduce(numbers)
        said["sum"] = [numbers.min().item(), numbers.max().item()]
        for _ in range(WARM_ROUNDS):
            dist.all_reduce(numbers)
        torch.cuda.synchronize()
        started = time.perf_counter()
        for _ in range(ROUNDS):
            dist.all_reduce(numbers)
        torch.cuda.synchronize()
        seconds = (time.perf_counter() - started) / ROUNDS
        world = dist.get_world_size()
        # As nccl-tests say it: what each device must send, whatever the algorithm.
        said["bus_gb_per_s"] = round(SIZE / seconds * 2 * (world - 1) / world / 1e9, 1)
        said["all_reduce_ms"] = round(seconds * 1000, 3)
    finally:
        dist.destroy_process_group()
    print(json.dumps(said), flush=True)


if __name__ == "__main__":
    main()
