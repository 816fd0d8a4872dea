"""A rank's side of a shared segment on CUDA: maps it as a rank does, checks it, registers its pages and times copies to the device.

Usage: ``rank_memory.py SOCKET_FD NAME BYTES``; the descriptor arrives on the socket. Prints one JSON object.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from typing import Any

import torch

from twinkle_worker.protocol import TensorHandle
from twinkle_worker.tensors import Segments

REPEATS = 20


def gigabytes_per_second(target: torch.Tensor, source: torch.Tensor) -> float:
    """Median over repeats; every copy is awaited."""
    seconds = []
    for _ in range(REPEATS + 2):
        torch.cuda.synchronize()
        started = time.perf_counter()
        target.copy_(source, non_blocking=True)
        torch.cuda.synchronize()
        seconds.append(time.perf_counter() - started)
    return source.numel() / statistics.median(seconds[2:]) / 1e9


def main(socket_fd: int, name: str, size: int) -> None:
    """The first byte of each page is its number modulo 251, which Node wrote; the device writes back each byte plus one."""
    segments = Segments(socket_fd)
    segments.attach(name, size)
    view = segments.view(TensorHandle(segment=name, offset=0, dtype="uint8", shape=[size]))
    host = torch.frombuffer(view, dtype=torch.uint8)
    device = torch.empty(size, dtype=torch.uint8, device="cuda")
    report: dict[str, Any] = {"bytes": size, "unregistered to device GB/s": gigabytes_per_second(device, host)}
    report["unregistered to host GB/s"] = gigabytes_per_second(host, device)

    cudart: Any = torch.cuda.cudart()
    started = time.perf_counter()
    report["cudaHostRegister"] = int(cudart.cudaHostRegister(host.data_ptr(), size, 0))
    report["registration ms"] = (time.perf_counter() - started) * 1000
    report["torch sees pinned pages"] = host.is_pinned()
    report["registered to device GB/s"] = gigabytes_per_second(device, host)
    report["registered to host GB/s"] = gigabytes_per_second(host, device)
    pinned = torch.empty(size, dtype=torch.uint8, pin_memory=True)
    report["torch's own pinned memory to device GB/s"] = gigabytes_per_second(device, pinned)

    device.copy_(host)
    pages = device.view(-1, 4096)[:, 0]
    expected = torch.arange(len(pages), device="cuda") % 251
    report["the device got what Node wrote"] = bool((pages == expected).all())
    device += 1
    host.copy_(device)
    report["cudaHostUnregister"] = int(cudart.cudaHostUnregister(host.data_ptr()))
    del host
    view.release()
    segments.close()
    print(json.dumps(report))


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
