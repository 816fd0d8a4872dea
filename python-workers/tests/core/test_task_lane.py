"""Tasks: workers are leased, used again, lost and given back, beside a scripted node and scripted workers."""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from core_support import PATIENCE_S, FakeWorker, Made, Rig, Silence, rig

from twinkle_node.core import task_lane
from twinkle_node.core.protocol import Demand, Value
from twinkle_node.core.stored import Stored, error_value
from twinkle_node.core.task_lane import TaskLane
from twinkle_node.errors import CancelledError, TwinkleError, WorkerDiedError

DEMAND = Demand({"CPU": 1}, "default", "", False, {}, None, {})
VALUE = Stored(Value("raw", [3], "", []), b"arg")


class Place:
    """A lane, and a node that grants a lease when the test says so."""

    def __init__(self, made: Rig, folder: Path) -> None:
        self.made, self.folder = made, folder
        self.lane = TaskLane(DEMAND, made.link, made.objects.refs, made.dial)
        self.workers: list[FakeWorker] = []

    def asks(self) -> list[int]:
        """Questions for workers that are neither answered nor withdrawn."""
        return [number for number, method, *_ in list(self.made.service.asks.all) if method == "lease"]

    def grant(self, at: int, path: str | None = None) -> FakeWorker:
        """Answer the lease question number ``at`` with a new worker; its lease has that number, too."""
        self.made.service.asks.until(lambda _: len(self.asks()) > at)
        number = self.asks()[at]
        worker = FakeWorker(self.folder, f"w{len(self.workers)}")
        self.workers.append(worker)
        lease = {"lease": at, "worker": 100 + at, "pid": 1, "node": "n", "path": path or worker.path}
        self.made.service.answer(number, lease)
        return worker

    def submit(self, name: str = "f", **given: Any) -> Made:
        one = self.made.call(name, **given)
        self.lane.submit(one.call)
        return one

    def released(self) -> list[int]:
        return [one["lease"] for one in self.made.service.told("release")]


def silent(*_: Any) -> None:
    raise Silence


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with rig({"lease": silent, "lease.none": lambda *_: None}) as made:
        yield Place(made, tmp_path)


def until(place: Place, *calls: Made) -> None:
    place.made.until(lambda: all(one.done for one in calls))


def test_a_worker_takes_one_task_after_another_and_is_given_back_when_somebody_waits(place: Place) -> None:
    calls = [place.submit(str(number)) for number in range(4)]
    worker = place.grant(0)
    for number in range(4):
        came = worker.next(number)
        assert len(worker.calls.all) == number + 1, "one at a time"
        came.reply(came.name)
    until(place, *calls)
    assert [one.text for one in calls] == ["0", "1", "2", "3"]
    assert place.lane.keeps
    place.lane.give_back()
    place.made.service.tells.until(lambda _: place.released() == [0])
    assert not place.lane.keeps


def test_questions_that_nobody_needs_any_more_are_withdrawn_and_a_late_worker_is_given_back_in_time(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = [place.submit(str(number)) for number in range(2)]
    worker = place.grant(0)
    for number in range(2):
        worker.next(number).reply("")
    until(place, *calls)
    place.made.service.withdrawn.until(lambda numbers: numbers == [place.asks()[1]])
    place.grant(1)  # the node had found it already
    place.made.until(lambda: len(place.lane._idle) == 2)
    place.lane.tick()
    assert place.released() == []
    monkeypatch.setattr(task_lane, "KEEP_S", -1.0)
    place.lane.tick()
    place.made.service.tells.until(lambda _: sorted(place.released()) == [0, 1])


def test_a_worker_that_ended_before_it_was_reached_is_replaced(place: Place) -> None:
    one = place.submit()
    place.grant(0, path=str(place.folder / "none"))
    worker = place.grant(1)
    worker.next(0).reply("fine")
    until(place, one)
    assert one.text == "fine"
    assert place.released() == [0]


def test_want_of_files_in_this_process_fails_what_waits(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_files(*_: Any) -> Any:
        raise OSError(24, "Too many open files")

    place.lane._connect = no_files
    one = place.submit()
    place.grant(0)
    until(place, one)
    assert "Too many open files" in str(one.error)
    place.made.service.tells.until(lambda _: place.released() == [0])


def test_no_worker_can_be_had(place: Place) -> None:
    calls = [place.submit() for _ in range(3)]
    place.made.service.asks.until(lambda _: len(place.asks()) == 3)
    for number in place.asks():
        place.made.service.refuse(number, "TASK_UNSCHEDULABLE", "there is no such node")
    until(place, *calls)
    assert {one.error.code for one in calls if isinstance(one.error, TwinkleError)} == {"TASK_UNSCHEDULABLE"}


def test_a_task_that_was_refused_a_worker_and_waits_for_another_s_asks_again_when_that_is_lost(place: Place) -> None:
    first = place.submit(retries=0)
    worker = place.grant(0)
    worker.next(0)
    second = place.submit()
    place.made.service.asks.until(lambda _: len(place.asks()) == 2)
    place.made.service.refuse(place.asks()[1], "RANK_FAILED")
    place.made.link.call("lease.none", {})  # the refusal has been heard: what is said comes in order
    worker.die()
    place.lane.lost(0, "signal 9")
    until(place, first)
    place.grant(2).next(0).reply("mine")
    until(place, second)
    assert second.text == "mine"


@pytest.mark.parametrize("retries", [0, 2, -1])
def test_a_task_whose_worker_is_lost_is_tried_as_often_as_it_may(place: Place, retries: int) -> None:
    one = place.submit(retries=retries)
    tries = 3 if retries < 0 else retries + 1
    for at in range(tries):
        worker = place.grant(at)
        worker.next(0)
        if at == tries - 1 and retries < 0:
            worker.calls.all[0].reply("at last")
            break
        worker.die()
        place.lane.lost(at, "signal 9")
    until(place, one)
    if retries < 0:
        assert one.text == "at last"
    else:
        assert isinstance(one.error, WorkerDiedError)
        assert "signal 9" in str(one.error)


def test_what_a_worker_answered_before_it_ended_counts(tmp_path: Path) -> None:
    with rig({"lease": silent}, background=False) as made:
        place = Place(made, tmp_path)
        one = place.submit()
        worker = place.grant(0)
        made.until(lambda: place.lane._busy)
        worker.next(0).reply("answered")
        worker.die()
        place.lane.lost(0, "signal 9")
        assert one.text == "answered"
        assert not place.lane.keeps
        place.lane.lost(0, "signal 9")


def test_a_worker_lost_while_it_does_nothing_is_not_used_again(place: Place) -> None:
    one = place.submit()
    worker = place.grant(0)
    worker.next(0).reply("")
    until(place, one)
    worker.die()
    place.lane.lost(0, "exit code 1")
    again = place.submit()
    place.grant(1).next(0).reply("")
    until(place, again)


def test_a_task_withdrawn_at_each_stage(place: Place) -> None:
    argument = place.made.objects.new_ref()
    early = place.submit("early", given=(argument,))
    waiting = place.submit("waiting")
    for one in (early, waiting):
        one.call.cancelled = True
        place.lane.withdraw(one.call)
        assert isinstance(one.error, CancelledError)
    place.made.service.withdrawn.until(lambda numbers: len(numbers) == 1)
    place.made.objects.refs.fulfil(argument.slot, VALUE)
    assert len(place.asks()) == 1, "it was entered after all"
    running = place.submit("running", retries=-1)
    worker = place.grant(1)
    worker.next(0)
    running.call.cancelled = True
    place.lane.withdraw(running.call)
    assert not running.done
    assert place.lane.worker_of(running.call) == 101
    worker.die()
    place.lane.lost(1, "signal 9")
    until(place, running)
    assert isinstance(running.error, CancelledError)


@pytest.mark.parametrize("again", [True, False])
def test_exceptions_use_up_retries_only_when_that_is_asked_for(place: Place, again: bool) -> None:
    one = place.made.call("g", retries=2, items=True)
    one.call.again = again
    place.lane.submit(one.call)
    worker = place.grant(0)
    for number in range(3 if again else 1):
        worker.next(number).fail(ValueError("no"))
    until(place, one)
    assert isinstance(one.error, ValueError)
    assert one.items is not None
    with pytest.raises(ValueError, match="no"):
        next(one.items)


def test_an_error_goes_through_thousands_of_tasks_that_wait_for_each_other(place: Place) -> None:
    first = place.made.objects.new_ref()
    calls = [place.submit("0", given=(first,))]
    for number in range(1, 3000):
        calls.append(place.submit(str(number), given=(calls[-1].ref,), items=number == 2999))
    value, parts = error_value(KeyError("broken"), "f")
    place.made.objects.refs.fulfil(first.slot, Stored(value, b"".join(bytes(part) for part in parts)))
    assert isinstance(calls[-1].error, KeyError)
    assert calls[-1].items is not None
    with pytest.raises(KeyError):
        next(calls[-1].items)


def test_the_end_of_the_node_ends_tasks_of_every_stage_and_those_that_come_later(place: Place) -> None:
    calls = [place.submit("running", retries=-1)]
    worker = place.grant(0)
    worker.next(0)
    calls += [place.submit("early", given=(place.made.objects.new_ref(),)), place.submit("waiting")]
    place.lane.fail(TwinkleError("HEAD_UNREACHABLE", "gone"))
    calls.append(place.submit("later"))
    assert [one.error.code for one in calls if isinstance(one.error, TwinkleError)] == ["HEAD_UNREACHABLE"] * 4


@pytest.mark.parametrize("seed", range(12))
def test_whatever_happens_to_workers_each_task_has_one_result(tmp_path: Path, seed: int) -> None:
    """A node that grants, refuses to connect, and loses workers at random, in a thread of its own."""
    with rig({"lease": silent}) as made:
        place, seeded = Place(made, tmp_path), random.Random(seed)
        over = threading.Event()

        def node() -> None:
            at = 0
            while not over.is_set():
                if len(place.asks()) <= at:
                    time.sleep(0.0005)
                    continue
                worker = place.grant(at, str(tmp_path / "none") if seeded.random() < 0.1 else None)
                threading.Thread(target=work, args=(worker, at, seeded.random()), daemon=True).start()
                at += 1

        def work(worker: FakeWorker, lease: int, luck: float) -> None:
            life = int(luck * 12)
            with contextlib.suppress(AssertionError):  # nothing more is asked of it: all is done
                for number in range(life):
                    worker.next(number).reply(f"r{worker.calls.all[number].name}")
                worker.next(life)
            worker.die()
            made.service.tell("lease.lost", {"lease": lease})

        told = made.told.add
        made.told.add = lambda one: (place.lane.lost(one[1]["lease"], "it ended"), told(one))[0]  # type: ignore[method-assign]
        thread = threading.Thread(target=node)
        thread.start()
        calls: list[Made] = []
        for number in range(60):
            given = (calls[-1].ref,) if calls and seeded.random() < 0.3 else ()
            calls.append(place.submit(str(number), given=given, retries=-1))
        cancelled = [one for one in calls if seeded.random() < 0.1]
        for one in cancelled:
            one.call.cancelled = True
            place.lane.withdraw(one.call)
        assert made.pump.drive(lambda: all(one.done for one in calls), time.monotonic() + PATIENCE_S)
        over.set()
        thread.join()
        for number, one in enumerate(calls):
            if one.error is None:
                assert one.text == f"r{number}"
            else:
                assert isinstance(one.error, CancelledError)
