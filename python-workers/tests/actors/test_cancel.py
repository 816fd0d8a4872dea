"""Calls that are cancelled: before they begin, while they run, by force."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from typing import Any

import pytest
from actors_support import alive, eventually, program, said

import twinkle_node as tn
from twinkle_node.core.api import ClusterInfo


@tn.remote
def until(path: str, began: str = "") -> str:
    if began:
        Path(began).write_text(str(os.getpid()))
    while not os.path.exists(path):
        time.sleep(0.005)
    return "done"


@tn.remote
def touch(path: str, waited_for: Any = None) -> None:
    Path(path).touch()


def began(path: Path) -> int:
    """Waits for the task to run; its process."""
    return int(eventually(lambda: path.exists() and path.read_text()))


def cancelled(ref: Any) -> None:
    with pytest.raises(tn.CancelledError):
        tn.get(ref, timeout=10)


def test_a_task_that_waits_for_an_argument_does_not_begin(tmp_path: Path) -> None:
    gate, traces = tmp_path / "gate", tmp_path / "traces"
    first = until.remote(str(gate))
    second = touch.remote(str(traces), first)
    tn.cancel(second)
    cancelled(second)
    gate.touch()
    assert tn.get(first) == "done"
    assert tn.get(until.remote(str(gate))) == "done"
    assert not traces.exists()


def test_a_task_that_waits_for_a_worker_does_not_begin(tmp_path: Path) -> None:
    gate, traces = tmp_path / "gate", tmp_path / "traces"
    first = until.options(num_gpus=6).remote(str(gate), str(tmp_path / "began"))
    began(tmp_path / "began")
    second = touch.options(num_gpus=6).remote(str(traces))
    tn.cancel(second)
    cancelled(second)
    gate.touch()
    tn.get(first)
    assert tn.get(until.options(num_gpus=6).remote(str(gate)), timeout=10) == "done"
    assert not traces.exists()


@pytest.mark.parametrize("where", ["sleep", "loop", "get", "coroutine", "generator"])
def test_a_task_that_runs_is_interrupted_whatever_it_does(where: str, tmp_path: Path) -> None:
    mark = str(tmp_path / "began")

    @tn.remote
    def sleeps() -> None:
        Path(mark).write_text(str(os.getpid()))
        time.sleep(600)

    @tn.remote
    def loops() -> None:
        Path(mark).write_text(str(os.getpid()))
        while True:
            pass

    @tn.remote
    def waits() -> None:
        @tn.remote
        def never() -> None:
            time.sleep(600)

        ref = never.remote()
        Path(mark).write_text(str(os.getpid()))
        try:
            tn.get(ref)
        finally:
            tn.cancel(ref, force=True)

    @tn.remote
    async def coroutine() -> None:
        Path(mark).write_text(str(os.getpid()))
        await asyncio.sleep(600)

    @tn.remote
    def generates() -> Any:
        yield 1
        Path(mark).write_text(str(os.getpid()))
        time.sleep(600)

    tasks: dict[str, Any] = {
        "sleep": sleeps,
        "loop": loops,
        "get": waits,
        "coroutine": coroutine,
        "generator": generates,
    }
    ref = tasks[where].remote()
    pid = began(Path(mark))
    tn.cancel(ref)
    cancelled(ref.completed() if where == "generator" else ref)
    assert alive(pid)  # its worker lives on, for the next


def test_a_task_may_clean_up_and_what_it_returns_then_counts(tmp_path: Path) -> None:
    mark = str(tmp_path / "began")

    @tn.remote
    def tidy() -> str:
        try:
            try:
                Path(mark).write_text("1")
                time.sleep(600)
            except Exception:
                return "an Exception would be swallowed by retry loops"
        except KeyboardInterrupt:
            time.sleep(0.05)  # it is interrupted once
            return "tidied"
        return "slept"

    ref = tidy.remote()
    began(Path(mark))
    tn.cancel(ref)
    assert tn.get(ref, timeout=10) == "tidied"


def test_by_force_its_worker_ends(tmp_path: Path) -> None:
    mark = str(tmp_path / "began")

    @tn.remote
    def stubborn() -> None:
        Path(mark).write_text(str(os.getpid()))
        while True:
            try:
                time.sleep(600)
            except KeyboardInterrupt:
                pass

    ref = stubborn.remote()
    pid = began(Path(mark))
    tn.cancel(ref, force=True)
    cancelled(ref)
    eventually(lambda: not alive(pid))


def test_what_is_done_stays_done() -> None:
    ref = touch.remote(os.devnull)
    tn.get(ref)
    tn.cancel(ref)
    tn.cancel(ref, force=True)
    assert tn.get(ref) is None
    tn.cancel(tn.put(1))


def test_cancelling_at_once_ends_every_task_one_way_or_the_other(tmp_path: Path) -> None:
    gate = tmp_path / "never"
    for _ in range(3):
        refs = [until.remote(str(gate)) for _ in range(20)]
        for ref in refs:
            tn.cancel(ref)
        for ref in refs:
            cancelled(ref)
    gate.touch()
    assert tn.get([until.remote(str(gate)) for _ in range(20)], timeout=20) == ["done"] * 20


def test_a_cancelled_task_is_not_tried_again_and_its_neighbours_run_on(tmp_path: Path) -> None:
    mark, gate = tmp_path / "began", tmp_path / "gate"
    neighbour = until.remote(str(gate))
    victim = until.options(max_retries=-1).remote(str(tmp_path / "never"), str(mark))
    began(mark)
    tn.cancel(victim, force=True)
    cancelled(victim)
    gate.touch()
    assert tn.get(neighbour, timeout=10) == "done"


# ---- of actors ----


@tn.remote
class Worker:
    def until(self, path: str, began: str = "") -> str:
        if began:
            Path(began).write_text(str(os.getpid()))
        while not os.path.exists(path):
            time.sleep(0.005)
        return "done"

    def ping(self) -> str:
        return "pong"


@pytest.mark.parametrize("options", [{}, {"max_concurrency": 1, "concurrency_groups": {"io": 1}}])
def test_a_call_that_waits_for_its_turn_does_not_begin(options: dict[str, Any], tmp_path: Path) -> None:
    gates, traces = [tmp_path / "gate0", tmp_path / "gate1"], tmp_path / "traces"
    worker = Worker.options(**options).remote()
    first = worker.until.remote(str(gates[0]))
    second = worker.until.remote(str(gates[1]), str(tmp_path / "began"))
    behind = [worker.ping.remote(), worker.until.remote(str(gates[0]), str(traces)), worker.ping.remote()]
    gates[0].touch()
    began(tmp_path / "began")  # those behind it are in the worker's hands
    tn.cancel(behind[1])
    gates[1].touch()
    assert tn.get([first, second], timeout=10) == ["done", "done"]
    cancelled(behind[1])
    assert tn.get([behind[0], behind[2]]) == ["pong", "pong"]
    assert not traces.exists()


def test_a_call_whose_argument_is_not_there_is_not_sent(tmp_path: Path) -> None:
    gate, traces = tmp_path / "gate", tmp_path / "traces"
    worker = Worker.remote()
    ref = worker.until.remote(until.remote(str(gate)), str(traces))
    tn.cancel(ref)
    cancelled(ref)
    assert tn.get(worker.ping.remote(), timeout=10) == "pong"
    gate.touch()
    assert tn.get(worker.ping.remote()) == "pong"
    assert not traces.exists()


def test_a_method_that_runs_is_left_alone_and_force_is_refused(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    worker = Worker.remote()
    ref = worker.until.remote(str(gate), str(tmp_path / "began"))
    began(tmp_path / "began")
    tn.cancel(ref)
    with pytest.raises(tn.TwinkleError, match="force"):
        tn.cancel(ref, force=True)
    assert tn.wait([ref], timeout=0.1)[0] == []
    gate.touch()
    assert tn.get(ref, timeout=10) == "done"


@tn.remote
class Coroutines:
    def __init__(self) -> None:
        self.begun = 0
        self.cancelled = 0

    async def sleep(self, began: str = "") -> None:
        self.begun += 1
        try:
            if began:
                Path(began).write_text("1")
            await asyncio.sleep(600)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise

    async def count(self) -> int:
        return self.cancelled

    async def left(self) -> int:
        return self.begun - self.cancelled


def test_a_coroutine_that_runs_is_cancelled(tmp_path: Path) -> None:
    actor = Coroutines.remote()
    ref = actor.sleep.remote(str(tmp_path / "began"))
    began(tmp_path / "began")
    tn.cancel(ref)
    cancelled(ref)
    assert tn.get(actor.count.remote()) == 1


def test_coroutines_that_are_cancelled_at_once_all_end() -> None:
    actor = Coroutines.options(max_concurrency=5).remote()
    tn.get(actor.count.remote())
    refs = [actor.sleep.remote() for _ in range(50)]
    for ref in refs:
        tn.cancel(ref)
    for ref in refs:
        cancelled(ref)
    # one that is cancelled makes room for the next, which may begin before its own word is there: how many began is luck
    assert tn.get(actor.left.remote(), timeout=10) == 0


class Endless:
    """Its generators end only when nobody wants more of them."""

    def __init__(self) -> None:
        self.closed = 0

    def numbers(self) -> Any:
        number = 0
        try:
            while True:
                yield number
                number += 1
                time.sleep(0.001)
        finally:
            self.closed += 1

    def how_many_were_closed(self) -> int:
        return self.closed


@pytest.mark.parametrize("at_once", [1, 2])
def test_a_generator_of_an_actor_is_closed_between_its_items_when_it_is_cancelled(at_once: int) -> None:
    actor = tn.remote(max_concurrency=at_once)(Endless).remote()
    items = actor.numbers.options(num_returns="streaming").remote()
    assert [tn.get(next(items)) for _ in range(3)] == [0, 1, 2]
    tn.cancel(items.completed())
    cancelled(items.completed())
    assert tn.get(actor.how_many_were_closed.remote(), timeout=10) == 1


@pytest.mark.parametrize("at_once", [1, 2])
def test_a_generator_whose_reader_was_killed_lets_go_of_its_actor(cluster: ClusterInfo, at_once: int) -> None:
    actor = tn.remote(max_concurrency=at_once, name=f"endless-{at_once}")(Endless).remote()
    reader = program(
        "import twinkle_node as tn\n"
        "tn.init('auto')\n"
        f"items = tn.get_actor('endless-{at_once}').numbers.remote()\n"
        "print(tn.get(next(items)), flush=True)\n"
        "import time; time.sleep(600)\n",
        cluster.home,
    )
    try:
        assert said(reader) == "0"
    finally:
        reader.kill()
        reader.communicate()
    assert eventually(lambda: tn.get(actor.how_many_were_closed.remote(), timeout=10) == 1)
