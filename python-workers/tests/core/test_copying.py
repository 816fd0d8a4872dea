"""Copies by several threads: every byte arrives, what goes wrong is said, and nobody writes after the end."""

from __future__ import annotations

import _thread
import os
import random
import signal
import sys
import threading
import time
from typing import Any

import numpy as np
import pytest

from twinkle_node.core import copying


def copied(size: int) -> None:
    source = np.frombuffer(random.Random(size).randbytes(min(size, 4096)) * (size // 4096 + 1), np.uint8)[:size]
    target = np.zeros(size + 64, np.uint8)
    copying.copy(memoryview(target)[:size], memoryview(source).toreadonly())
    assert np.array_equal(target[:size], source)
    assert not target[size:].any()


@pytest.mark.parametrize("change", [-1, 0, 1, 4095, 4096, 4097, 123_457])
@pytest.mark.parametrize("cpus", [1, 2, 3, 4, 64])
def test_every_byte_arrives(monkeypatch: pytest.MonkeyPatch, change: int, cpus: int) -> None:
    monkeypatch.setattr(copying, "LARGE", 1 << 16)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cpus)))
    copied((1 << 16) + change)


@pytest.mark.parametrize("size", [1, 63, 4096, copying.LARGE + 1])
def test_sizes_as_they_come(size: int) -> None:
    copied(size)


def test_who_has_no_numpy_has_no_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    source, target = memoryview(os.urandom(copying.LARGE)), memoryview(bytearray(copying.LARGE))
    monkeypatch.setitem(sys.modules, "numpy", None)  # type: ignore[arg-type]
    monkeypatch.setattr(_thread, "start_new_thread", None)
    copying.copy(target, source)
    assert target == source


def test_memory_of_another_size_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
    with pytest.raises(ValueError, match="different structures"):
        copying.copy(memoryview(bytearray(copying.LARGE)), memoryview(bytes(copying.LARGE + 1)))


def test_where_no_thread_can_begin_the_caller_copies(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2})
    monkeypatch.setattr(_thread, "start_new_thread", refuse)
    copied(copying.LARGE + 5)


def test_what_a_thread_raises_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
    real, began = np.copyto, threading.Event()

    def copyto(to: Any, of: Any) -> None:
        if threading.current_thread() is not threading.main_thread():
            began.set()
            raise MemoryError("no more")
        assert began.wait(10)
        real(to, of)

    monkeypatch.setattr(np, "copyto", copyto)
    with pytest.raises(MemoryError, match="no more"):
        copied(copying.LARGE)


class Slow:
    """The part of a thread takes until it is told, and says when it has ended."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
        self._real = np.copyto
        monkeypatch.setattr(np, "copyto", self._copyto)
        self.began, self.gate, self.ended = threading.Event(), threading.Event(), threading.Event()
        self.own = lambda: None

    def _copyto(self, to: Any, of: Any) -> None:
        if threading.current_thread() is threading.main_thread():
            assert self.began.wait(10)
            self.own()
        else:
            self.began.set()
            self.gate.wait()
        self._real(to, of)
        if threading.current_thread() is not threading.main_thread():
            self.ended.set()


def test_a_caller_that_fails_waits_for_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    slow = Slow(monkeypatch)

    def fail() -> None:
        threading.Timer(0.05, slow.gate.set).start()
        raise ValueError("own part")

    slow.own = fail
    with pytest.raises(ValueError, match="own part"):
        copied(copying.LARGE)
    assert slow.ended.is_set()


def test_a_signal_while_the_others_are_waited_for_waits_too(monkeypatch: pytest.MonkeyPatch) -> None:
    slow = Slow(monkeypatch)

    def interrupt() -> None:
        time.sleep(0.1)  # the caller waits by then; were it not, this would show less, and not fail
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.1)
        slow.gate.set()

    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        copied(copying.LARGE)
    assert slow.ended.is_set()


def test_what_no_thread_has_begun_is_not_done_after_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
    late: list[Any] = []
    monkeypatch.setattr(_thread, "start_new_thread", lambda act, _: late.append(act))
    real = np.copyto

    def copyto(_to: Any, _of: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(np, "copyto", copyto)
    target = bytearray(copying.LARGE)
    with pytest.raises(KeyboardInterrupt):
        copying.copy(memoryview(target), memoryview(b"x" * copying.LARGE))
    monkeypatch.setattr(np, "copyto", real)
    thread = threading.Thread(target=late[0])  # it comes late
    thread.start()
    thread.join()
    assert not any(target[-4096:])
