"""Calls to an actor through its restarts, beside scripted workers; at random against what must always be true."""

from __future__ import annotations

import errno
import random
from pathlib import Path
from typing import Any

import pytest
from core_support import Came, FakeWorker, Made, Rig, rig, together

from twinkle_node.core.actor_line import ActorLine
from twinkle_node.core.protocol import ActorCard, ActorState, Value
from twinkle_node.core.stored import Stored, error_value
from twinkle_node.errors import ActorDiedError, CancelledError, TwinkleError


def line_of(made: Rig, ordered: bool = True) -> ActorLine:
    card = ActorCard("7.a", "Counter", "", "default", {}, 0, ordered)
    return ActorLine(card, made.objects.refs, made.dial)


def state(phase: str, epoch: int = 0, path: str = "", reason: str = "", cause: Value | None = None) -> ActorState:
    return ActorState("7.a", phase, epoch, path, 11, "node", reason, cause)


def finish_all(made: Rig, calls: list[Made]) -> None:
    made.until(lambda: all(one.done for one in calls))


def test_calls_made_before_it_lives_are_sent_in_their_order(tmp_path: Path) -> None:
    worker = FakeWorker(tmp_path, "w")
    with rig() as made:
        line = line_of(made)
        calls = [made.call(f"m{number}") for number in range(50)]
        for one in calls:
            line.submit(one.call)
        assert line.pending == 50
        line.heard(state("PENDING"), b"")
        line.heard(state("ALIVE", 0, worker.path), b"")
        for number in range(50):
            worker.next(number).reply(str(number))
        finish_all(made, calls)
        assert [one.text for one in calls] == [str(number) for number in range(50)]
        assert line.pending == 0


def test_a_call_whose_argument_is_not_there_keeps_its_place_only_when_calls_are_ordered(tmp_path: Path) -> None:
    for ordered in (True, False):
        worker = FakeWorker(tmp_path, f"w{ordered}")
        with rig() as made:
            line = line_of(made, ordered)
            line.heard(state("ALIVE", 0, worker.path), b"")
            argument = made.objects.new_ref()
            calls = [made.call("first", (argument,)), made.call("second")]
            for one in calls:
                line.submit(one.call)
            if not ordered:
                worker.next(0).reply("")
                finish_all(made, calls[1:])
            assert line.pending == 2 - (not ordered)
            made.objects.refs.fulfil(argument.slot, Stored(Value("raw", [3], "", []), b"arg"))
            for number in range(1 - ordered, 2):
                worker.next(number).reply("")
            finish_all(made, calls)
            names = [one.name for one in worker.calls.all]
            assert names == (["first", "second"] if ordered else ["second", "first"])
            first = next(one for one in worker.calls.all if one.name == "first")
            assert first.body == b"firstarg"


def test_what_a_worker_answered_before_it_ended_counts(tmp_path: Path) -> None:
    for phase in ("RESTARTING", "DEAD"):
        worker = FakeWorker(tmp_path, phase)
        with rig(background=False) as made:
            line = line_of(made)
            line.heard(state("ALIVE", 0, worker.path), b"")
            one = made.call("m")
            line.submit(one.call)
            came = worker.next(0)
            came.reply("answered")
            worker.die()
            line.heard(state(phase, 1), b"")  # heard before the reply was read
            assert one.text == "answered"


@pytest.mark.parametrize("kind", ["sent", "waiting", "generator", "bad argument", "later"])
def test_death_ends_calls_and_generators_of_every_stage(tmp_path: Path, kind: str) -> None:
    worker = FakeWorker(tmp_path, "w")
    with rig() as made:
        line = line_of(made)
        argument = made.objects.new_ref()
        one = made.call("m", (argument,) if kind in ("waiting", "bad argument") else (), items=True)
        line.heard(state("ALIVE", 0, worker.path), b"")
        if kind == "later":
            line.heard(state("DEAD", 0, "", "killed"), b"")
        line.submit(one.call)
        if kind in ("sent", "generator"):
            worker.next(0)
        if kind == "bad argument":
            value, parts = error_value(ValueError("broken"), "f")
            made.objects.refs.fulfil(argument.slot, Stored(value, b"".join(bytes(part) for part in parts)))
        else:
            line.heard(state("DEAD", 0, "", "killed"), b"")
        finish_all(made, [one])
        assert one.items is not None
        expected: type[BaseException] = ValueError if kind == "bad argument" else ActorDiedError
        with pytest.raises(expected):
            next(one.items)
        with pytest.raises(StopIteration):
            next(one.items)


def test_the_cause_of_a_death_is_what_the_constructor_raised() -> None:
    with rig() as made:
        line = line_of(made)
        one = made.call("m")
        line.submit(one.call)
        cause, parts = error_value(KeyError("who"), "the constructor")
        line.heard(state("DEAD", 0, "", "its constructor raised", cause), b"".join(bytes(part) for part in parts))
        assert isinstance(one.error, ActorDiedError)
        assert isinstance(one.error.__cause__, KeyError)


def test_a_life_that_cannot_be_reached_is_left_to_the_node_but_want_of_files_is_not(tmp_path: Path) -> None:
    with rig() as made:
        line = line_of(made)
        one = made.call("m")
        line.submit(one.call)
        line.heard(state("ALIVE", 0, str(tmp_path / "none")), b"")
        assert not one.done

        def no_files(*_: Any) -> Any:
            raise OSError(errno.EMFILE, "Too many open files")

        poor = ActorLine(line._card, made.objects.refs, no_files)
        poor.submit(one.call)
        poor.heard(state("ALIVE", 1, "x"), b"")
        assert "Too many open files" in str(one.error)
        later = made.call("m")
        poor.submit(later.call)
        assert isinstance(later.error, TwinkleError)


def test_the_end_of_the_node_ends_all_calls(tmp_path: Path) -> None:
    worker = FakeWorker(tmp_path, "w")
    with rig() as made:
        line = line_of(made)
        line.heard(state("ALIVE", 0, worker.path), b"")
        calls = [made.call("m", retries=-1), made.call("m", (made.objects.new_ref(),))]
        for one in calls:
            line.submit(one.call)
        worker.next(0)
        line.fail(TwinkleError("HEAD_UNREACHABLE", "gone"))
        later = made.call("m")
        line.submit(later.call)
        assert [str(one.error) for one in calls] == ["gone [HEAD_UNREACHABLE]"] * 2
        assert isinstance(later.error, ActorDiedError)


class Model:
    """An actor that lives, dies and comes back as chance has it, and what its callers may expect."""

    def __init__(self, made: Rig, folder: Path, seed: int) -> None:
        self.made, self.folder, self.seeded = made, folder, random.Random(seed)
        self.line = line_of(made)
        self.epoch = 0
        self.worker: FakeWorker | None = None
        self.alive = False
        self.dead = False
        self.workers: list[FakeWorker] = []
        self.answered: set[int] = set()
        self.calls: list[Made] = []
        self.retries: list[int] = []
        self.cancelled: set[int] = set()
        self.arguments: list[tuple[int, Any]] = []

    def step(self) -> None:
        steps = [self.submit] * 6 + [self.answer] * 5 + [self.cancel, self.argue, self.argue]
        steps += [self.lose, self.close_only] if self.alive else [self.come_back] * 3
        self.seeded.choice(steps)()
        self.made.pump.drive(lambda: False, 0)  # a turn or none

    def submit(self) -> None:
        number = len(self.calls)
        argument = (self.made.objects.new_ref(),) if self.seeded.random() < 0.2 else ()
        retries = self.seeded.choice([0, 0, 1, 2, -1])
        one = self.made.call(str(number), argument, retries)
        self.calls.append(one)
        self.retries.append(retries)
        if argument:
            self.arguments.append((number, argument[0]))
        self.line.submit(one.call)

    def argue(self) -> None:
        if self.arguments:
            _, ref = self.arguments.pop(0)
            self.made.objects.refs.fulfil(ref.slot, Stored(Value("raw", [0], "", []), b""))

    def answer(self) -> None:
        if self.worker is None:
            return
        for came in list(self.worker.calls.all):
            if id(came) not in self.answered:
                self.answered.add(id(came))
                came.reply(f"r{came.name}")
                return

    def cancel(self) -> None:
        waiting = [number for number, one in enumerate(self.calls) if not one.done]
        if waiting:
            number = self.seeded.choice(waiting)
            self.cancelled.add(number)
            self.calls[number].call.cancelled = True
            self.line.withdraw(self.calls[number].call)

    def close_only(self) -> None:
        """The connection ends before the node says why."""
        if self.worker is not None:
            self.worker.die()
            self.worker = None

    def lose(self) -> None:
        if self.worker is not None and self.seeded.random() < 0.7:
            self.worker.die()
        self.worker, self.alive = None, False
        self.epoch += 1
        self.line.heard(state("RESTARTING", self.epoch, "", "its process ended"), b"")
        if self.seeded.random() < 0.2:  # once more, before it lived
            self.epoch += 1
            self.line.heard(state("RESTARTING", self.epoch, "", "again"), b"")

    def come_back(self) -> None:
        self.worker = FakeWorker(self.folder, f"w{self.epoch}")
        self.workers.append(self.worker)
        self.alive = True
        self.line.heard(state("ALIVE", self.epoch, self.worker.path), b"")
        self.line.heard(state("ALIVE", self.epoch, self.worker.path), b"")  # said twice does no harm

    def end(self) -> None:
        """Everything is answered by the last life, or the actor dies."""
        while self.arguments:
            self.argue()
        if self.seeded.random() < 0.5:
            self.line.heard(state("DEAD", self.epoch, "", "the end"), b"")
            self.dead = True
        else:
            if self.alive:
                self.lose()
            self.come_back()
            assert self.worker is not None
            worker = self.worker
            at = 0
            while not all(one.done for one in self.calls):
                came: Came = worker.next(at)
                if id(came) not in self.answered:
                    came.reply(f"r{came.name}")
                at += 1
                self.made.until(lambda came=came: self.calls[int(came.name)].done)

    def check(self) -> None:
        sent: dict[int, int] = {}
        for worker in self.workers:
            names = [int(came.name) for came in worker.calls.all]
            assert names == sorted(names), "out of order in one life"
            assert len(names) == len(set(names)), "twice in one life"
            for name in names:
                sent[name] = sent.get(name, 0) + 1
        for number, one in enumerate(self.calls):
            assert one.done, f"call {number} has no result"
            retries = self.retries[number]
            assert retries < 0 or sent.get(number, 0) <= retries + 1, f"call {number} ran too often"
            if one.error is None:
                assert one.text == f"r{number}"
            elif isinstance(one.error, CancelledError):
                assert number in self.cancelled
            else:
                assert isinstance(one.error, ActorDiedError)
                assert self.dead or retries >= 0, f"call {number} may be tried without end"
        assert self.line.pending == 0


@pytest.mark.parametrize("seed", range(60))
def test_whatever_happens_each_call_has_one_result_runs_no_oftener_than_it_may_and_in_its_order(
    tmp_path: Path, seed: int
) -> None:
    with rig(background=seed % 2 == 0) as made:
        model = Model(made, tmp_path, seed)
        for _ in range(80):
            model.step()
        model.end()
        model.check()
        for worker in model.workers:
            worker.die()


def test_several_threads_call_while_it_dies(tmp_path: Path) -> None:
    with rig() as made:
        line = line_of(made)
        calls: list[Made] = []

        def submit() -> None:
            for _ in range(200):
                one = made.call("m")
                calls.append(one)
                line.submit(one.call)

        def die() -> None:
            worker = FakeWorker(tmp_path, "w")
            line.heard(state("ALIVE", 0, worker.path), b"")
            worker.next(20)
            line.heard(state("DEAD", 0, "", "killed"), b"")

        together(submit, submit, die)
        finish_all(made, calls)
        assert all(isinstance(one.error, ActorDiedError) for one in calls)
