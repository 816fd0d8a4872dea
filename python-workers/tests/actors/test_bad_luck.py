"""What must not harm anybody else: cycles, deaths with much behind them, modules that are not there, callers that are killed."""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from actors_support import alive, eventually, program, said, status

import twinkle_node as tn
from twinkle_node.core.api import ClusterInfo

pytestmark = pytest.mark.usefixtures("everything_free")


@tn.remote
class Keeps:
    def __init__(self) -> None:
        self.kept: list[Any] = []

    def keep(self, value: Any) -> None:
        self.kept.append(value)

    def forget(self) -> None:
        self.kept.clear()

    def pid(self) -> int:
        return os.getpid()

    def size_of(self, value: Any) -> int:
        return len(value)


def objects_of(cluster: ClusterInfo) -> tuple[int, int, int]:
    """(objects, bytes in the store, actors) of the cluster."""
    work = status(cluster.home)["work"]
    return work["store"]["objects"], work["store"]["usedBytes"], work["actors"]


@pytest.fixture
def nothing_left(cluster: ClusterInfo) -> Any:
    gc.collect()
    before = objects_of(cluster)
    yield
    gc.collect()
    eventually(lambda: all(now <= then for now, then in zip(objects_of(cluster), before, strict=True)), str(before))


# ---- cycles ----


def test_a_cycle_of_references_here_is_collected(nothing_left: None) -> None:
    class Node:
        other: Any = None

    first, second = Node(), Node()
    first.ref, second.ref = tn.put(np.zeros(100_000)), tn.put([1])  # type: ignore[attr-defined]
    first.other, second.other = second, first


def test_an_actor_that_has_a_handle_of_itself_ends_when_it_lets_go(nothing_left: None) -> None:
    keeps = Keeps.remote()
    tn.get(keeps.keep.remote([keeps]))
    pid = tn.get(keeps.pid.remote())
    done = keeps.forget.remote()
    tn.get(done)
    del keeps
    eventually(lambda: not alive(pid))


def test_actors_that_have_handles_of_each_other_end_with_the_program(cluster: ClusterInfo) -> None:
    maker = program(
        """
import os, twinkle_node as tn
tn.init("auto")
@tn.remote
class Keeps:
    def keep(self, value):
        self.kept = value
        return os.getpid()
def pair():
    one, two = Keeps.remote(), Keeps.remote()
    ref = tn.put([one, two])
    return tn.get([one.keep.remote([two, ref]), two.keep.remote([one, ref])])
print(*pair(), flush=True)
input()
""",
        cluster.home,
    )
    pids = [int(one) for one in said(maker).split()]
    assert all(map(alive, pids))  # as in Ray: who is in a cycle lives as long as its program
    maker.kill()
    maker.wait()
    eventually(lambda: not any(map(alive, pids)))


def test_objects_that_lead_to_each_other_through_an_actor(nothing_left: None) -> None:
    keeps = Keeps.remote()
    inner = tn.put([keeps, np.zeros(100_000)])
    outer = tn.put([inner])
    tn.get(keeps.keep.remote([outer]))
    tn.get(keeps.forget.remote())


# ---- deaths with much behind them ----


def test_ten_thousand_calls_of_a_dead_actor_are_errors_and_their_memory_is_given_back(nothing_left: None) -> None:
    keeps = Keeps.remote()
    pid = tn.get(keeps.pid.remote())
    shared, own = tn.put(np.zeros(200_000)), np.zeros(50_000)
    os.kill(pid, signal.SIGSTOP)
    refs = [keeps.size_of.remote(shared) for _ in range(9_900)]
    refs += [keeps.size_of.remote(own) for _ in range(100)]  # each with a copy in the store
    tn.kill(keeps)
    refs += [keeps.pid.remote() for _ in range(100)]
    for ref in refs:
        with pytest.raises(tn.ActorDiedError):
            tn.get(ref, timeout=30)


def test_ten_thousand_calls_with_several_results(nothing_left: None) -> None:
    keeps = Keeps.remote()
    pid = tn.get(keeps.pid.remote())
    os.kill(pid, signal.SIGSTOP)
    refs = [keeps.pid.options(num_returns=2).remote() for _ in range(5_000)]
    tn.kill(keeps)
    for ref in [one for pair in refs for one in pair]:
        with pytest.raises(tn.ActorDiedError):
            tn.get(ref, timeout=30)


def test_a_constructor_that_raises_again_and_again_leaves_nothing(nothing_left: None) -> None:
    @tn.remote
    class Fails:
        def __init__(self, value: Any) -> None:
            raise ValueError(len(value))

        def ask(self) -> None: ...

    refs = [Fails.remote(np.zeros(50_000)).ask.remote() for _ in range(10)]
    for ref in refs:
        with pytest.raises(tn.ActorDiedError) as caught:
            tn.get(ref, timeout=30)
        assert isinstance(caught.value.__cause__, ValueError)


def test_large_arguments_of_a_constructor_are_there_when_nobody_waits_for_it(nothing_left: None) -> None:
    @tn.remote
    class Large:
        def __init__(self, value: Any) -> None:
            self.size = len(value)

        def ask(self) -> int:
            return self.size

    assert tn.get([Large.remote(np.zeros(50_000)).ask.remote() for _ in range(10)], timeout=30) == [50_000] * 10


def test_large_arguments_of_a_constructor_are_there_for_its_next_life(tmp_path: Path, nothing_left: None) -> None:
    @tn.remote(max_restarts=1, max_task_retries=1)
    class Large:
        def __init__(self, value: Any) -> None:
            self.size = len(value)

        def ask(self, end: str) -> int:
            if not os.path.exists(end):
                Path(end).touch()
                os._exit(1)
            return self.size

    assert tn.get(Large.remote(np.zeros(50_000)).ask.remote(str(tmp_path / "ended")), timeout=30) == 50_000


# ---- what cannot be read or sent ----


def test_a_module_that_workers_do_not_have_is_a_typed_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nothing_left: None
) -> None:
    (tmp_path / "missing_there.py").write_text(
        "class Thing:\n    def ask(self):\n        return 1\n\ndef work(*args):\n    return 2\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))  # after init: workers are not told of it
    import missing_there  # type: ignore[import-not-found]

    try:
        with pytest.raises(tn.ActorDiedError) as caught:
            tn.get(tn.remote(missing_there.Thing).remote().ask.remote(), timeout=30)
        assert isinstance(caught.value.__cause__, ModuleNotFoundError)
        with pytest.raises(ModuleNotFoundError, match="missing_there"):
            tn.get(tn.remote(missing_there.work).remote(), timeout=30)
        keeps = Keeps.remote()
        with pytest.raises(ModuleNotFoundError, match="missing_there"):
            tn.get(keeps.keep.remote(missing_there.Thing()), timeout=30)
        assert tn.get(keeps.size_of.remote("abc"), timeout=30) == 3
    finally:
        sys.modules.pop("missing_there", None)


@pytest.mark.parametrize(
    "make", [lambda: threading.Lock(), lambda: [tn.put(1), (i for i in ())], lambda: {"a": sys._getframe()}]
)
def test_arguments_that_cannot_travel_leave_nothing(make: Callable[[], Any], nothing_left: None) -> None:
    keeps = Keeps.remote()
    for call in (
        lambda: keeps.keep.remote(make()),
        lambda: keeps.keep.options(num_returns=2).remote(np.zeros(100_000), make()),
        lambda: Keeps.remote(make()),
        lambda: tn.remote(len).options(num_returns=3).remote(make()),
        lambda: tn.put([np.zeros(100_000), make()]),
    ):
        with pytest.raises(tn.SerializationError):
            call()
    assert tn.get(keeps.size_of.remote("ab"), timeout=10) == 2


# ---- callers ----


def test_a_caller_that_is_killed_while_it_waits_leaves_nothing(cluster: ClusterInfo, nothing_left: None) -> None:
    keeps = Keeps.options(name="keeps").remote()
    before = status(cluster.home)["work"]
    pid = tn.get(keeps.pid.remote())
    os.kill(pid, signal.SIGSTOP)
    source = """
import numpy as np, twinkle_node as tn
tn.init("auto")
keeps = tn.get_actor("keeps")
refs = [keeps.size_of.remote(np.zeros(50_000)) for _ in range(20)]
refs += [one for _ in range(20) for one in keeps.size_of.options(num_returns=2).remote(tn.put(np.zeros(50_000)))]
print("waits", flush=True)
tn.get(refs)
"""
    callers = [program(source, cluster.home) for _ in range(3)]
    for caller in callers:
        assert said(caller) == "waits"
        caller.kill()
        caller.wait()
    os.kill(pid, signal.SIGCONT)
    assert tn.get(keeps.size_of.remote("ab"), timeout=10) == 2

    def as_before() -> bool:
        now = status(cluster.home)["work"]
        return (now["drivers"], now["workers"] <= before["workers"], now["leases"]) == (before["drivers"], True, 0)

    eventually(as_before)


def test_a_caller_that_is_stopped_does_not_hold_up_others(cluster: ClusterInfo, nothing_left: None) -> None:
    keeps = Keeps.options(name="slow reader").remote()
    caller = program(
        """
import twinkle_node as tn
tn.init("auto")
keeps = tn.get_actor("slow reader")
refs = [keeps.pid.remote() for _ in range(20_000)]
print("waits", flush=True)
tn.get(refs)
""",
        cluster.home,
    )
    assert said(caller) == "waits"
    caller.send_signal(signal.SIGSTOP)
    began = time.monotonic()
    assert tn.get(keeps.size_of.remote("ab"), timeout=30) == 2
    assert time.monotonic() - began < 30
    caller.kill()
    caller.wait()
