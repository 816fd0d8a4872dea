"""Copies of many megabytes, by several threads at once: one thread alone moves half of what the memory can."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from contextlib import ExitStack
from itertools import pairwise
from typing import Any

LARGE = 8 << 20
"""Bytes from which threads are worth it: they begin in some 50 µs each, and one moves 8 MiB in 1.2 ms."""

MOST_THREADS = 4
"""More do not help: by then the memory is busy."""


def copy(target: memoryview, source: memoryview) -> None:
    """All bytes of ``source``; both are one-dimensional, of bytes, and of one size."""
    numpy: Any = sys.modules.get("numpy")  # whose copies let other threads run; who has large values has it
    threads = min(MOST_THREADS, len(os.sched_getaffinity(0))) if source.nbytes >= LARGE else 1
    if threads == 1 or not hasattr(numpy, "copyto"):
        target[:] = source
        return
    to, of = (numpy.frombuffer(memory, numpy.uint8) for memory in (target, source))
    # Whole pages: two threads should not meet in one.
    step = -(-source.nbytes // threads) // 4096 * 4096
    parts = list(pairwise([*range(0, step * threads, step), source.nbytes]))
    with ExitStack() as helpers:  # nobody writes any more when this is left, however it is left
        for begin, end in parts[1:]:
            helpers.callback(_begun(lambda begin=begin, end=end: numpy.copyto(to[begin:end], of[begin:end])))
        numpy.copyto(to[: parts[0][1]], of[: parts[0][1]])


def _begun(act: Callable[[], None]) -> Callable[[], None]:
    """What runs in a thread from now on; the result waits for its end. Where there can be no thread (any more), the result runs it."""
    thread = threading.Thread(target=act, name="twinkle-copy", daemon=True)
    try:
        thread.start()
    except RuntimeError:
        return act

    def finish() -> None:
        interrupted: BaseException | None = None
        while thread.is_alive():
            try:
                thread.join()
            except BaseException as error:  # of a cancelled call, say: the copy ends before it goes on
                interrupted = error
        if interrupted is not None:
            raise interrupted

    return finish
