"""Joins a communicator of one rank with an id that another process made. Usage: ``join_nccl.py LIBRARY ID_AS_HEX``; prints a status.

0 is success: the id was real, and its root in the process that made it answered.
"""

from __future__ import annotations

import ctypes
import sys

import torch

ID_BYTES = 128


class UniqueId(ctypes.Structure):
    """``ncclUniqueId``: passed by value."""

    _fields_ = [("internal", ctypes.c_byte * ID_BYTES)]


def main(library: str, text: str) -> int:
    """Init and destroy."""
    torch.cuda.init()
    torch.cuda.set_device(0)
    torch.zeros(1, device="cuda")
    nccl = ctypes.CDLL(library)
    communicator = ctypes.c_void_p()
    unique = UniqueId.from_buffer_copy(bytes.fromhex(text))
    nccl.ncclCommInitRank.argtypes = [ctypes.POINTER(ctypes.c_void_p), ctypes.c_int, UniqueId, ctypes.c_int]
    status = int(nccl.ncclCommInitRank(ctypes.byref(communicator), 1, unique, 0))
    if status == 0:
        nccl.ncclCommDestroy.argtypes = [ctypes.c_void_p]
        nccl.ncclCommDestroy(communicator)
    return status


if __name__ == "__main__":
    print(main(sys.argv[1], sys.argv[2]))
