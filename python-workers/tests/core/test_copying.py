"""Copies by several threads: every byte arrives, and nobody writes after the end."""

from __future__ import annotations

import os
import random
import sys
import threading
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
    monkeypatch.setattr(threading, "Thread", None)
    copying.copy(target, source)
    assert target == source


def test_where_no_thread_can_begin_the_caller_copies(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: Any) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2})
    monkeypatch.setattr(threading.Thread, "start", refuse)
    copied(copying.LARGE + 5)


def test_a_caller_that_is_interrupted_waits_for_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
    gate, real = threading.Event(), np.copyto
    ended: list[str] = []

    def copyto(to: Any, of: Any) -> None:
        if threading.current_thread() is threading.main_thread():
            gate.set()
            raise KeyboardInterrupt
        gate.wait()
        real(to, of)
        ended.append("helper")

    monkeypatch.setattr(np, "copyto", copyto)
    with pytest.raises(KeyboardInterrupt):
        copied(copying.LARGE)
    assert ended == ["helper"]
