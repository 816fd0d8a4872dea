"""Memory of this process in which arguments are lent to workers: written here, read there without a copy, and used again.

The node has no part in it. A worker opens the memory once, by this process's descriptor, and says when it does not read a
part any more. The kernel keeps what a worker has mapped, so nothing can be read that is not there; memory with a part that
was never given back is not used again, so nothing can change under who reads it.
"""

from __future__ import annotations

import fcntl
import itertools
import mmap
import os
import threading
import weakref
from collections import deque
from collections.abc import Sequence

from .protocol import Lend, Loan
from .slabs import laid_out, write_parts
from .wire import Buffer

SCRATCH_BYTES = 8 << 20
LARGEST_LOAN = 2 << 20
"""Bytes of arguments; larger ones lie with the node, which costs them less than it does small ones."""

_SEALED = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW


class Scratch:
    """One piece of memory. It ends when nothing in it is lent any more and nobody will lend from it."""

    def __init__(self, number: int, size: int) -> None:
        """Raises OSError when it cannot be had."""
        self.number = number
        self.size = size
        self.spoilt = False
        """A part of it may be read for ever."""
        self._fd = os.memfd_create("twinkle-arguments", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        weakref.finalize(self, os.close, self._fd)
        os.ftruncate(self._fd, size)
        fcntl.fcntl(self._fd, fcntl.F_ADD_SEALS, _SEALED)
        self._memory = mmap.mmap(self._fd, size)
        self._taken: dict[int, int] = {}  # offset → bytes
        self._back: deque[int] = deque()

    def take(self, size: int) -> int | None:
        """The begin of a part of that many bytes; None: there is no room. Not for two threads at once."""
        while self._back:
            del self._taken[self._back.popleft()]
        at = 0
        for begin in sorted(self._taken):
            if begin - at >= size:
                break
            at = begin + self._taken[begin]
        if at + size > self.size:
            return None
        self._taken[at] = size
        return at

    def give_back(self, at: int) -> None:
        """In any thread, in the middle of anything: takes no lock."""
        self._back.append(at)

    def write(self, at: int, parts: Sequence[Buffer], sizes: Sequence[int]) -> None:
        write_parts(self._memory, at, parts, sizes)

    def read(self, at: int, sizes: Sequence[int]) -> list[memoryview]:
        """The parts that lie from there on, as long as they are lent."""
        memory = memoryview(self._memory)
        return [memory[begin : begin + size] for begin, size in zip(laid_out(sizes, at), sizes, strict=False)]

    @property
    def lend(self) -> Lend:
        """What a worker has to be told of it."""
        return Lend(self.number, os.getpid(), self._fd, os.fstat(self._fd).st_ino, self.size)


class Lent:
    """A part of it, which goes back when nobody has this any more: neither the call nor a connection over which it was sent."""

    __slots__ = ("at", "scratch")

    def __init__(self, scratch: Scratch, at: int) -> None:
        self.scratch = scratch
        self.at = at

    @property
    def loan(self) -> Loan:
        return Loan(self.scratch.number, self.at)

    def spoil(self) -> None:
        """Nobody will say when it is not read any more."""
        self.scratch.spoilt = True

    def __del__(self) -> None:
        self.scratch.give_back(self.at)


class ScratchPool:
    """Thread-safe."""

    def __init__(self, size: int = SCRATCH_BYTES, largest: int = LARGEST_LOAN) -> None:
        self._size = size
        self._largest = largest
        self._numbers = itertools.count()
        self._lock = threading.Lock()
        self._scratch: Scratch | None = None

    def lend(self, parts: Sequence[Buffer], sizes: Sequence[int]) -> Lent | None:
        """The parts, copied there. None: they are too large, or there is no room now."""
        total = laid_out(sizes)[-1]
        if total > self._largest:
            return None
        with self._lock:
            scratch = self._scratch
            if scratch is None or scratch.spoilt:
                try:
                    scratch = self._scratch = Scratch(next(self._numbers), self._size)
                except OSError:
                    return None  # no more files, or memory: the node may have some
            at = scratch.take(total)
        if at is None:
            return None
        lent = Lent(scratch, at)
        scratch.write(at, parts, sizes)
        return lent
