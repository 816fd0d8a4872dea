"""Slabs of the node's object store, mapped into this process: once each to read, and once to write where it is asked for."""

from __future__ import annotations

import mmap
import os
import threading
from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate

from .copying import copy
from .protocol import SlabPlace
from .wire import Buffer

ALIGN = 64


def aligned(size: int) -> int:
    """The next multiple of 64: where a part of a block ends."""
    return -(-size // ALIGN) * ALIGN


def laid_out(sizes: Iterable[int], at: int = 0) -> list[int]:
    """Where each part of a value begins that lies from ``at`` on, and where the last one ends: at multiples of 64 from there."""
    return list(accumulate(map(aligned, sizes), initial=at))


def write_parts(memory: mmap.mmap, at: int, parts: Sequence[Buffer], sizes: Sequence[int]) -> None:
    """Copy the parts of a value to where they lie."""
    target = memoryview(memory)
    for part, size, begin in zip(parts, sizes, laid_out(sizes, at), strict=False):
        if size > 0:
            copy(target[begin : begin + size], memoryview(part).cast("B"))


class Slabs:
    """``where(slab)`` asks the node for the process and descriptor of a slab."""

    def __init__(self, where: Callable[[int], SlabPlace]) -> None:
        self._where = where
        self._maps: dict[tuple[int, bool], mmap.mmap] = {}
        self._lock = threading.Lock()

    def reading(self, slab: int) -> mmap.mmap:
        """The slab, read-only. Raises OSError when it cannot be had."""
        return self._mapped(slab, False)

    def writing(self, slab: int) -> mmap.mmap:
        """The slab, to fill a block that was reserved. Raises OSError when it cannot be had."""
        return self._mapped(slab, True)

    def forget(self, slab: int) -> None:
        """The node has given it back: it stays mapped while something of it is in use."""
        with self._lock:
            for write in (False, True):
                self._maps.pop((slab, write), None)

    def _mapped(self, slab: int, write: bool) -> mmap.mmap:
        found = self._maps.get((slab, write))
        if found is not None:
            return found
        # Without the lock: whoever answers may first have to say that another slab is gone. Two threads may map the same; one is kept.
        made = _map(self._where(slab), write)
        with self._lock:
            return self._maps.setdefault((slab, write), made)


def _map(place: SlabPlace, write: bool) -> mmap.mmap:
    """The memory behind another process's descriptor: opened anew, so that a reader's can never write."""
    flags = os.O_RDWR if write else os.O_RDONLY
    fd = os.open(f"/proc/{place.pid}/fd/{place.fd}", flags | os.O_CLOEXEC)
    try:
        access = mmap.PROT_READ | (mmap.PROT_WRITE if write else 0)
        return mmap.mmap(fd, place.size, mmap.MAP_SHARED, access)
    finally:
        os.close(fd)
