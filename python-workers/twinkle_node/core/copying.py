"""Copies of many megabytes, by several threads at once: one thread alone moves half of what the memory can."""

from __future__ import annotations

import _thread
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from itertools import pairwise
from typing import Any

LARGE = 8 << 20
"""Bytes from which threads are worth it: they begin in some 50 µs each, and one moves 8 MiB in 1.2 ms."""

MOST_THREADS = 4
"""More do not help: by then the memory is busy."""


def copy(target: memoryview, source: memoryview) -> None:
    """All bytes of ``source``; both are one-dimensional, of bytes, and of one size. Nobody writes any more when this is left, however it is
    left."""
    numpy: Any = sys.modules.get("numpy")  # whose copies let other threads run; who has large values has it
    threads = min(MOST_THREADS, len(os.sched_getaffinity(0))) if source.nbytes >= LARGE else 1
    if threads == 1 or target.nbytes != source.nbytes or not hasattr(numpy, "copyto"):
        target[:] = source
        return
    to, of = (numpy.frombuffer(memory, numpy.uint8) for memory in (target, source))
    # Whole pages: two threads should not meet in one.
    step = -(-source.nbytes // threads) // 4096 * 4096
    ends = pairwise([*range(0, step * threads, step), source.nbytes])
    parts = [_Part(lambda begin=begin, end=end: numpy.copyto(to[begin:end], of[begin:end])) for begin, end in ends]
    left = [*parts]
    begun = False
    error: BaseException | None = None
    while left:
        try:
            if not begun:
                begun = True
                for part in parts[1:]:
                    part.offer()
            # Those that no thread has begun are done here; after an error, not at all.
            left[0].finish(skip=error is not None)
            del left[0]
        except BaseException as caught:  # of a cancelled call, say, or of a thread: the others end before it goes on
            error = error or caught
    if error is not None:
        raise error


class _Part:
    """Done once, by whoever takes it first: a thread, or the caller, whom a signal may interrupt anywhere: each step can be done again."""

    def __init__(self, act: Callable[[], None]) -> None:
        self._act = act
        self._begun = False
        self._taken = _thread.RLock()  # the caller may take it again, when it was interrupted as it had it
        self._ended = False
        self._over = _thread.allocate_lock()
        self._over.acquire()
        self._error: BaseException | None = None

    def offer(self) -> None:
        """A thread takes it, unless the caller is faster. Without effect where no thread can begin (any more)."""
        with suppress(RuntimeError):
            _thread.start_new_thread(self._run, ())

    def finish(self, skip: bool) -> None:
        """Wait for the thread that has it. None: it is done here, or with ``skip`` by nobody. Raises what it raised."""
        if self._taken.acquire(blocking=False):
            if not skip and not self._begun:
                self._begun = True
                self._act()
            return
        while not self._ended:
            self._over.acquire()
        if self._error is not None and not skip:
            raise self._error

    def _run(self) -> None:
        if not self._taken.acquire(blocking=False):
            return
        try:
            self._act()
        except BaseException as error:
            self._error = error
        self._ended = True
        self._over.release()
