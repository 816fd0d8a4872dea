"""Arguments that a caller has lent to this worker: read where they lie, and given back when nothing here reads them any more."""

from __future__ import annotations

import errno
import mmap
import os
from collections.abc import Callable
from typing import Any

from .protocol import Lend, Loan, Value
from .slabs import laid_out
from .value import unpack
from .views import pinned_view


class Borrowed:
    """What was lent for one call. ``given_back`` is called when nobody has this, nor an array in it: anywhere, so it takes no lock."""

    __slots__ = ("_given_back",)

    def __init__(self, given_back: Callable[[], object]) -> None:
        self._given_back = given_back

    def view_closed(self) -> None:
        """Each view keeps this until then."""

    def read(self, memory: mmap.mmap, loan: Loan, value: Value, load: Callable[[Any], Any]) -> Any:
        """The value: arrays are read-only and lie in the caller's memory. Raises ValueError for what lies outside of it."""
        at = laid_out(value.s, loan.at)
        if loan.at < 0 or min(value.s) < 0 or at[-1] > len(memory):
            raise ValueError(f"expected a loan within {len(memory)} bytes but received {at[-1] - loan.at} at {loan.at}")
        head = memory[at[0] : at[0] + value.s[0]]
        buffers = [
            pinned_view(memory, begin, size, self.view_closed) for begin, size in zip(at[1:], value.s[1:], strict=False)
        ]
        return unpack(value.f, head, buffers, load)

    def __del__(self) -> None:
        self._given_back()


def opened(lend: Lend) -> mmap.mmap:
    """The memory behind the caller's descriptor, to be read. Raises OSError when it is not there any more, or cannot be had."""
    fd = os.open(f"/proc/{lend.pid}/fd/{lend.fd}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        if os.fstat(fd).st_ino != lend.inode:
            raise OSError(errno.ESTALE, "the memory that the caller has lent is gone")
        return mmap.mmap(fd, lend.size, mmap.MAP_SHARED, mmap.PROT_READ)
    finally:
        os.close(fd)
