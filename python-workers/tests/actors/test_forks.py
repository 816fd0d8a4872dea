"""Code of tasks and actors that forks."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from actors_support import alive, eventually

import twinkle_node as tn

pytestmark = pytest.mark.usefixtures("everything_free")
FORKS: Any = multiprocessing.get_context("fork")


def squared(value: int) -> int:
    return value * value


def sockets_of(pid: int) -> list[str]:
    """Inodes of the sockets that a process has."""
    found = []
    for fd in Path(f"/proc/{pid}/fd").iterdir():
        try:
            found.append(os.readlink(fd))
        except OSError:
            continue
    return [one for one in found if one.startswith("socket:")]


def in_child(work: Callable[[], Any]) -> int:
    """Its process, which ends when the work is done."""
    pid = os.fork()
    if pid == 0:
        try:
            work()
        finally:
            os._exit(0)
    return pid


class Forks:
    def __init__(self) -> None:
        self.calls = 0

    def count(self) -> int:
        self.calls += 1
        return self.calls

    def pid(self) -> int:
        return os.getpid()

    def pool(self) -> list[int]:
        with FORKS.Pool(2) as pool:
            return pool.map(squared, range(20))

    def child(self) -> int:
        return in_child(lambda: time.sleep(600))

    def comes_back(self, how: str, log: str) -> Any:
        """The child returns into what called this."""
        pid = os.fork()
        if pid:
            return pid, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        Path(log).touch()
        if how == "raises":
            raise ValueError("of the child")
        if how == "exits":
            sys.exit(3)
        if how == "several":
            return [1, 2]
        return np.zeros(100_000) if how == "large" else "of the child"

    def sum_in_child(self, values: np.ndarray) -> float:
        read, write = os.pipe()
        pid = in_child(lambda: os.write(write, str(values.sum()).encode()))
        os.waitpid(pid, 0)
        return float(os.read(read, 100))

    def refused_in_child(self, others: list[Any]) -> list[str]:
        ref, actor, items = others[0], others[1], iter(others[2])
        made = counts.remote(1)
        uses: list[Callable[[], Any]] = [
            lambda: tn.put(1),
            lambda: tn.get(ref),
            lambda: actor.count.remote(),
            lambda: next(made),
            lambda: tn.exit_actor(),
            lambda: next(items),
        ]
        read, write = os.pipe()

        def tries() -> None:
            for use in uses:
                try:
                    use()
                    said = "nothing"
                except StopIteration:
                    said = "StopIteration"
                except BaseException as error:
                    said = str(getattr(error, "code", "")) or repr(error)
                os.write(write, f"{said}\n".encode())

        os.waitpid(in_child(tries), 0)
        assert tn.get(next(made)) == 0  # it is the parent's
        return os.read(read, 10_000).decode().split("\n")[:-1]


class ForksInCoroutines(Forks):
    async def later(self) -> int:
        await asyncio.sleep(0)
        return self.count()


@tn.remote(num_cpus=0)
def counts(upto: int) -> Any:
    yield from range(upto)


KINDS: list[Any] = [tn.remote(Forks), tn.remote(max_concurrency=3)(Forks), tn.remote(ForksInCoroutines)]
IDS = ["serial", "threads", "coroutines"]


@pytest.mark.parametrize("kind", KINDS, ids=IDS)
def test_a_pool_of_forks_works_and_its_parent_goes_on(kind: Any) -> None:
    actor = kind.remote()
    assert tn.get(actor.pool.remote(), timeout=30) == [value * value for value in range(20)]
    assert tn.get([actor.count.remote() for _ in range(100)], timeout=10)[-1] == 100


def test_a_task_forks() -> None:
    @tn.remote
    def forks() -> list[int]:
        with FORKS.Pool(2) as pool:
            return pool.map(squared, range(5))

    assert tn.get([forks.remote() for _ in range(3)], timeout=30) == [[0, 1, 4, 9, 16]] * 3


@pytest.mark.parametrize("how", ["returns", "raises", "exits", "large", "several"])
@pytest.mark.parametrize("kind", [None, *KINDS], ids=["task", *IDS])
def test_a_child_that_comes_back_ends_and_says_nothing(kind: Any, how: str, tmp_path: Path) -> None:
    log = str(tmp_path / "was there")
    actor: Any = None
    if kind is None:
        forks = Forks()
        call = tn.remote(max_retries=0)(lambda *args: forks.comes_back(*args))
    else:
        actor = kind.remote()
        call = actor.comes_back
    ref = call.options(num_returns=2).remote(how, log) if how == "several" else call.remote(how, log)
    child, code = tn.get(ref, timeout=15)
    assert Path(log).exists()
    assert code == {"raises": 1, "exits": 3}.get(how, 0)
    assert not alive(child)
    if kind is not None:
        assert tn.get([actor.count.remote() for _ in range(10)], timeout=10)[-1] == 10


@pytest.mark.parametrize("kind", KINDS, ids=IDS)
def test_a_child_has_none_of_its_parents_connections(kind: Any) -> None:
    actor = kind.remote()
    parent, child = tn.get([actor.pid.remote(), actor.child.remote()])
    assert sockets_of(parent) != []
    of_a_loop = 2 if kind is KINDS[2] else 0  # asyncio's own pair, by which a loop wakes itself
    eventually(lambda: len(set(sockets_of(parent)) & set(sockets_of(child))) <= of_a_loop)
    os.kill(parent, signal.SIGKILL)
    with pytest.raises(tn.ActorDiedError):
        tn.get(actor.count.remote(), timeout=10)
    eventually(lambda: not alive(child))


def test_a_child_that_left_the_group_does_not_keep_callers_waiting() -> None:
    @tn.remote
    class Daemon:
        def start(self) -> int:
            def daemon() -> None:
                os.setsid()
                time.sleep(60)

            pid = in_child(daemon)
            while os.getpgid(pid) != pid:
                time.sleep(0.001)
            return pid

        def pid(self) -> int:
            return os.getpid()

    actor = Daemon.remote()
    child = tn.get(actor.start.remote(), timeout=10)
    try:
        os.kill(tn.get(actor.pid.remote()), signal.SIGKILL)
        with pytest.raises(tn.ActorDiedError):
            tn.get(actor.pid.remote(), timeout=10)
        assert sockets_of(child) == []
    finally:
        os.kill(child, signal.SIGKILL)


def test_a_child_reads_shared_arrays() -> None:
    values = np.arange(100_000, dtype=float)
    assert tn.get(KINDS[0].remote().sum_in_child.remote(tn.put(values)), timeout=10) == values.sum()


def test_a_child_that_uses_its_parents_connections_is_refused() -> None:
    actor, other = KINDS[0].remote(), KINDS[0].remote()
    ref = tn.put(1)
    said = tn.get(actor.refused_in_child.remote([ref, other, [1]]), timeout=15)
    assert said == ["USAGE"] * 3 + ["HEAD_UNREACHABLE", "USAGE", "nothing"]
    assert tn.get(other.count.remote()) == 1
    assert tn.get(actor.count.remote()) == 1


def test_a_driver_forks_and_goes_on() -> None:
    actor = KINDS[0].remote()
    refs = [actor.count.remote() for _ in range(10)]
    with FORKS.Pool(2) as pool:
        assert pool.map(squared, range(4)) == [0, 1, 4, 9]
    assert tn.get(refs) == list(range(1, 11))
