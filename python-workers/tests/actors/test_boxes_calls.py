"""How calls behave when the worker is on the other box; each test from the head's box, and from the agent's."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from actors_support import alive, eventually
from boxes_support import Boxes, driven

import twinkle_node as tn


@pytest.fixture(scope="module", autouse=True, params=["head", "agent"])
def cluster(request: pytest.FixtureRequest) -> Iterator[Boxes]:
    with driven(request.param) as two:
        yield two


@tn.remote
class Notes:
    def __init__(self) -> None:
        self.noted: list[Any] = []

    def note(self, value: Any) -> int:
        self.noted.append(value)
        return len(self.noted)

    def all(self) -> list[Any]:
        return self.noted

    def pair(self, size: int) -> tuple[int, Any]:
        return size, np.full(size, 7.0)

    def fails(self, key: str) -> None:
        raise KeyError(key)

    def counts(self, count: int, size: int) -> Iterator[Any]:
        for at in range(count):
            yield np.full(size, at)

    def breaks(self) -> Iterator[int]:
        yield 1
        raise ValueError("in the middle")

    def pid(self) -> int:
        return os.getpid()

    def name(self) -> str:
        return "notes"


def test_a_thousand_calls_run_in_the_order_in_which_they_were_made(cluster: Boxes) -> None:
    notes = Notes.options(scheduling_strategy=cluster.far).remote()
    later = tn.remote(abs).options(scheduling_strategy=cluster.near)
    large = np.zeros(50_000)
    for at in range(1_000):
        # Some wait for a task, some have arguments that are written into the store, some that are lent here.
        if at % 100 == 50:
            notes.note.remote(later.remote(-at))
        elif at % 100 == 70:
            notes.note.remote(large + at)
        else:
            notes.note.remote(at)
    seen = tn.get(notes.all.remote(), timeout=60)
    assert [int(one[0]) if isinstance(one, np.ndarray) else one for one in seen] == list(range(1_000))


def test_coroutines_meet_each_other(cluster: Boxes) -> None:
    @tn.remote
    class Meets:
        def __init__(self) -> None:
            self.come = asyncio.Event()

        async def wait(self) -> str:
            await self.come.wait()
            return "met"

        async def come_here(self) -> None:
            self.come.set()

    meets = Meets.options(scheduling_strategy=cluster.far).remote()
    waits = [meets.wait.remote() for _ in range(50)]
    tn.get(meets.come_here.remote(), timeout=30)
    assert tn.get(waits, timeout=30) == ["met"] * 50


def test_a_group_of_calls_is_not_held_up_by_another(cluster: Boxes) -> None:
    @tn.remote(concurrency_groups={"io": 2})
    class Grouped:
        def __init__(self) -> None:
            self.freed = threading.Event()

        def compute(self) -> bool:
            return self.freed.wait(30)

        @tn.method(concurrency_group="io")
        def free(self) -> None:
            self.freed.set()

    grouped = Grouped.options(scheduling_strategy=cluster.far).remote()
    computes = grouped.compute.remote()
    tn.get(grouped.free.remote(), timeout=30)
    assert tn.get(computes, timeout=30) is True


@pytest.mark.parametrize("size", [10, 200_000])
def test_generators_give_their_items_one_by_one(cluster: Boxes, size: int) -> None:
    notes = Notes.options(scheduling_strategy=cluster.far).remote()
    assert [int(tn.get(ref, timeout=30)[0]) for ref in notes.counts.remote(20, size)] == list(range(20))

    @tn.remote(scheduling_strategy=cluster.far)
    def counts(count: int) -> Iterator[Any]:
        for at in range(count):
            yield np.full(size, at)

    assert [int(tn.get(ref, timeout=30)[-1]) for ref in counts.remote(20)] == list(range(20))


def test_a_generator_that_breaks_says_so_after_its_items(cluster: Boxes) -> None:
    items = Notes.options(scheduling_strategy=cluster.far).remote().breaks.remote()
    assert tn.get(next(items), timeout=30) == 1
    with pytest.raises(ValueError, match="in the middle"):
        tn.get(next(items), timeout=30)


@pytest.mark.parametrize("size", [10, 200_000])
def test_two_results_are_two_objects(cluster: Boxes, size: int) -> None:
    notes = Notes.options(scheduling_strategy=cluster.far).remote()
    first, second = notes.pair.options(num_returns=2).remote(size)
    assert tn.get(first, timeout=30) == size
    del first
    assert tn.get(second, timeout=30).tolist() == [7.0] * size


def test_exceptions_come_with_their_traceback(cluster: Boxes) -> None:
    notes = Notes.options(scheduling_strategy=cluster.far).remote()
    with pytest.raises(KeyError) as caught:
        tn.get(notes.fails.remote("there"), timeout=30)
    assert isinstance(caught.value, tn.TaskError)
    assert "raise KeyError(key)" in str(caught.value)
    assert isinstance(caught.value.__cause__, KeyError)

    @tn.remote(max_retries=0, scheduling_strategy=cluster.far)
    def ends() -> None:
        os._exit(7)

    with pytest.raises(tn.WorkerDiedError) as died:
        tn.get(ends.remote(), timeout=30)
    assert cluster.there.node in str(died.value)
    assert "7" in str(died.value)


def test_an_actor_that_is_killed_says_who_where_and_how(cluster: Boxes) -> None:
    notes = Notes.options(scheduling_strategy=cluster.far).remote()
    pid = tn.get(notes.pid.remote(), timeout=30)
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(tn.ActorDiedError) as caught:
        tn.get(notes.pid.remote(), timeout=30)
    message = str(caught.value)
    assert (caught.value.node, caught.value.pid) == (cluster.there.node, pid)
    assert all(one in message for one in ("Notes", cluster.there.node, str(pid), "signal 9")), message

    notes = Notes.options(scheduling_strategy=cluster.far).remote()
    pid = tn.get(notes.pid.remote(), timeout=30)
    tn.kill(notes)
    with pytest.raises(tn.ActorDiedError, match="kill"):
        tn.get(notes.pid.remote(), timeout=30)
    eventually(lambda: not alive(pid))


def test_an_actor_comes_back_on_its_box_and_calls_are_sent_again(cluster: Boxes, tmp_path: Path) -> None:
    @tn.remote(max_restarts=2, max_task_retries=2, scheduling_strategy=cluster.far)
    class Again:
        def ask(self, ends: str) -> tuple[str, int]:
            if not os.path.exists(ends):
                Path(ends).touch()
                os._exit(1)
            return tn.get_runtime_context().get_node_id(), os.getpid()

    again = Again.remote()
    first = tn.get(again.ask.remote(str(tmp_path / "a")), timeout=30)
    second = tn.get(again.ask.remote(str(tmp_path / "b")), timeout=30)
    assert first[0] == second[0] == cluster.there.node
    assert first[1] != second[1]


# ---- cancel ----


def sleeps(folder: str, name: str) -> None:
    Path(folder, name).write_text(str(os.getpid()))
    try:
        threading.Event().wait(600)
    finally:
        Path(folder, f"{name}-ended").touch()


@tn.remote(num_cpus=0)
def child(folder: str, name: str) -> None:
    sleeps(folder, name)


@tn.remote(num_cpus=0)
def parent(folder: str, there: Any) -> None:
    tn.get(child.options(scheduling_strategy=there).remote(folder, "child"))


def test_what_a_far_task_has_started_on_this_box_is_cancelled_with_it(cluster: Boxes, tmp_path: Path) -> None:
    ref = parent.options(scheduling_strategy=cluster.far).remote(str(tmp_path), cluster.near)
    eventually((tmp_path / "child").exists)
    tn.cancel(ref)
    with pytest.raises(tn.CancelledError):
        tn.get(ref, timeout=20)
    eventually((tmp_path / "child-ended").exists)


def test_force_ends_the_process_there(cluster: Boxes, tmp_path: Path) -> None:
    @tn.remote
    def stubborn(path: str) -> None:
        Path(path).write_text(str(os.getpid()))
        while True:
            try:
                threading.Event().wait(600)
            except KeyboardInterrupt:
                pass

    mark = tmp_path / "began"
    ref = stubborn.options(scheduling_strategy=cluster.far).remote(str(mark))
    pid = int(eventually(lambda: mark.exists() and mark.read_text()))
    tn.cancel(ref, force=True)
    with pytest.raises(tn.CancelledError):
        tn.get(ref, timeout=20)
    eventually(lambda: not alive(pid))


def test_a_coroutine_there_is_cancelled_and_its_actor_works_on(cluster: Boxes, tmp_path: Path) -> None:
    @tn.remote
    class Waits:
        async def wait(self, folder: str) -> None:
            Path(folder, "waits").touch()
            try:
                await asyncio.sleep(600)
            finally:
                Path(folder, "ended").touch()

        async def name(self) -> str:
            return "waits"

    waits = Waits.options(scheduling_strategy=cluster.far).remote()
    ref = waits.wait.remote(str(tmp_path))
    eventually((tmp_path / "waits").exists)
    tn.cancel(ref)
    with pytest.raises(tn.CancelledError):
        tn.get(ref, timeout=20)
    eventually((tmp_path / "ended").exists)
    assert tn.get(waits.name.remote(), timeout=20) == "waits"


def test_a_call_that_waits_for_room_on_the_other_box_is_withdrawn(cluster: Boxes, tmp_path: Path) -> None:
    holds = [child.options(num_cpus=4, scheduling_strategy=cluster.far).remote(str(tmp_path), "holds")]
    eventually((tmp_path / "holds").exists)
    late = child.options(num_cpus=1, scheduling_strategy=cluster.far).remote(str(tmp_path), "late")
    tn.cancel(late)
    with pytest.raises(tn.CancelledError):
        tn.get(late, timeout=20)
    tn.cancel(holds[0])
    with pytest.raises(tn.CancelledError):
        tn.get(holds[0], timeout=20)
    assert not (tmp_path / "late").exists()


# ---- handles ----


def test_an_actor_of_a_handle_that_went_over_and_back_ends_when_nobody_has_it(cluster: Boxes) -> None:
    notes = Notes.options(scheduling_strategy=cluster.far).remote()

    @tn.remote
    class Keeps:
        def keep(self, actor: Any) -> str:
            self.actor = actor
            return tn.get(actor.name.remote())

        def give(self) -> Any:
            return self.actor

        def forget(self) -> None:
            self.actor = None

    keeps = Keeps.options(scheduling_strategy=cluster.near).remote()
    assert tn.get(keeps.keep.remote(notes), timeout=30) == "notes"
    pid = tn.get(notes.pid.remote(), timeout=30)
    del notes
    back = tn.get(keeps.give.remote(), timeout=30)
    tn.get(keeps.forget.remote(), timeout=30)
    assert tn.get(back.name.remote(), timeout=30) == "notes"
    del back
    eventually(lambda: not alive(pid))
