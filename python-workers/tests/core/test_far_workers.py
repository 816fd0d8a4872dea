"""Arguments that were lent to a worker of this box: those of other boxes get them in the frame, however often a call is tried where."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from core_support import CLIENT, INLINE, Came, FakeWorker, Rig, Silence, rig

from twinkle_node.core.arguments import prepared
from twinkle_node.core.borrowed import Borrowed, opened
from twinkle_node.core.calls import Call
from twinkle_node.core.protocol import ActorCard, ActorState, Demand, Joined, Lend, Value
from twinkle_node.core.stored import Stored, cut
from twinkle_node.core.value import unpack
from twinkle_node.core.ways import Ways
from twinkle_node.errors import TwinkleError

HERE, THERE = "node", "another"
DEMAND = Demand({"CPU": 1}, "default", "", False, {}, None, {})
ARRAY = np.arange(3000.0)
OVER = TwinkleError("HEAD_UNREACHABLE", "the test is over")


def ways_of(made: Rig) -> Ways:
    return Ways(made.pump, made.link, made.objects, Joined(CLIENT, HERE, "instance", INLINE))


def call_with(made: Rig, retries: int, *args: Any) -> Call:
    arguments, given, keep = prepared(made.objects, args, {"name": "word"})
    return Call(made.objects.new_ref().slot, "f", "f", arguments, given, keep, retries)


def alive(worker: FakeWorker, node: str, epoch: int) -> dict[str, Any]:
    state = ActorState("7.a", "ALIVE", epoch, worker.path, 11, node, "", None)
    return msgspec.to_builtins(state)  # type: ignore[no-any-return]


def is_lent(came: Came, worker: FakeWorker) -> bool:
    """Whether the arguments are; raises when they are not what they were."""
    value = came.invoke.args
    if value.loan is None:
        head, *buffers = cut(value.s, came.body)
        read = unpack(value.f, head, buffers, lambda _: None)
    else:
        lend = next(word for word in worker.words.all if isinstance(word, Lend))
        read = Borrowed(lambda: None).read(opened(lend), value.loan, value, lambda _: None)
    (array, text), named = read
    assert np.array_equal(array, ARRAY)
    assert (text, named) == ("text", {"name": "word"})
    return value.loan is not None


def tells_nothing_of_memory(worker: FakeWorker) -> bool:
    return not any(isinstance(word, Lend) for word in worker.words.all)


def test_a_task_that_is_tried_here_and_there_has_the_same_arguments_each_time(tmp_path: Path) -> None:
    leases: list[tuple[FakeWorker, str]] = [
        (FakeWorker(tmp_path, f"w{at}"), node) for at, node in enumerate((HERE, THERE, HERE, THERE))
    ]
    granted = iter(enumerate(leases))

    def lease(*_: Any) -> Any:
        at, (worker, node) = next(granted, (None, (None, None)))
        if worker is None:
            raise Silence
        return {"lease": at, "worker": at, "pid": 1, "node": node, "path": worker.path}

    with rig({"lease": lease}) as made:
        ways = ways_of(made)
        call = call_with(made, 3, ARRAY, "text")
        ways.lane(DEMAND).submit(call)
        for at, (worker, node) in enumerate(leases):
            came = worker.next(0)
            assert is_lent(came, worker) == (node == HERE)
            assert tells_nothing_of_memory(worker) == (node == THERE)
            if at < len(leases) - 1:
                worker.die()
                ways.told("lease.lost", {"lease": at, "how": "signal 9"}, memoryview(b""))
            else:
                came.reply("done")
        made.until(lambda: call.slot.done)
        assert bytes(call.slot.stored.body) == b"done"  # type: ignore[union-attr]
        ways.lane(DEMAND).give_back()


def test_calls_to_an_actor_that_moves_to_another_box_and_back(tmp_path: Path) -> None:
    nodes = (HERE, THERE, HERE)
    workers = [FakeWorker(tmp_path, f"a{at}") for at in range(len(nodes))]
    with rig() as made:
        ways = ways_of(made)
        line = ways.line(ActorCard("7.a", "Counter", "", "default", {}, -1, True))
        tried, waiting = (call_with(made, -1, ARRAY, "text") for _ in range(2))
        line.submit(tried)
        for epoch, (worker, node) in enumerate(zip(workers, nodes, strict=True)):
            ways.told("actor", alive(worker, node, epoch), memoryview(b""))
            assert is_lent(worker.next(0), worker) == (node == HERE)
            assert tells_nothing_of_memory(worker) == (node == THERE)
            if epoch == 1:  # one that is made while it is there
                line.submit(waiting)
                assert not is_lent(worker.next(1), worker)
            if epoch < 2:
                worker.die()
        assert is_lent(workers[2].next(1), workers[2])
        for at in range(2):
            workers[2].next(at).reply(str(at))
        made.until(lambda: tried.slot.done and waiting.slot.done)
        assert [bytes(one.slot.stored.body) for one in (tried, waiting)] == [b"0", b"1"]  # type: ignore[union-attr]
        ways.fail(OVER)


def test_what_went_in_the_frame_is_not_lent_any_more_when_the_call_is_over(tmp_path: Path) -> None:
    worker = FakeWorker(tmp_path, "w")
    with rig() as made:
        ways = ways_of(made)
        line = ways.line(ActorCard("7.a", "Counter", "", "default", {}, 0, True))
        ways.told("actor", alive(worker, THERE, 0), memoryview(b""))
        call = call_with(made, 0, ARRAY, "text")
        line.submit(call)
        worker.next(0).reply("done")
        made.until(lambda: call.slot.done)
        gc.collect()
        scratch = made.objects._scratch._scratch
        assert scratch is not None
        scratch.take(1 << 40)  # counts what has come back
        assert (scratch._taken, scratch.spoilt) == ({}, False)
        worker.die()
        made.until(lambda: line._line is None)
        assert not scratch.spoilt  # nobody there has mapped it
        ways.fail(OVER)


@pytest.mark.parametrize("node", [HERE, THERE])
def test_values_of_references_follow_the_arguments(tmp_path: Path, node: str) -> None:
    worker = FakeWorker(tmp_path, "w")
    with rig() as made:
        ways = ways_of(made)
        line = ways.line(ActorCard("7.a", "Counter", "", "default", {}, 0, True))
        ways.told("actor", alive(worker, node, 0), memoryview(b""))
        argument = made.objects.new_ref()
        made.objects.refs.fulfil(argument.slot, Stored(Value("raw", [5], "", []), b"given"))
        line.submit(call_with(made, 0, ARRAY, argument))
        came = worker.next(0)
        assert came.body.endswith(b"given")
        assert len(came.body) == 5 + (0 if node == HERE else sum(came.invoke.args.s))
        ways.fail(OVER)
