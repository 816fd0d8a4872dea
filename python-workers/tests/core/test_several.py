"""Calls with several results, over a connection with a scripted worker; and the values that are taken for them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from core_support import FakeWorker, NodeTable, Rig, rig

from twinkle_node.core.calls import finish
from twinkle_node.core.options import returns_of
from twinkle_node.core.protocol import Kept, Value
from twinkle_node.core.refs import ObjectRef
from twinkle_node.core.run_call import gathered, several
from twinkle_node.core.several import SeveralCall
from twinkle_node.core.stored import Outgoing, Stored
from twinkle_node.errors import ConfigError, WorkerDiedError


class Filled:
    """The slots that have been told."""

    def __init__(self) -> None:
        self.ids: list[str] = []

    def __call__(self, slot: Any) -> None:
        self.ids.append(slot.id)


def made(rig: Rig, count: int) -> tuple[SeveralCall, list[ObjectRef], Filled]:
    base = rig.objects.new_ref()
    call = SeveralCall(count, base.slot, "f", "f", Outgoing(Value("raw", [0], "", []), [], []), [], [], 0)
    filled = Filled()
    return call, call.begin(rig.objects, filled), filled


def body_of(ref: ObjectRef) -> bytes:
    assert ref.slot.stored is not None
    return bytes(ref.slot.stored.body)


def test_each_reference_has_its_part_when_the_call_is_over(tmp_path: Path) -> None:
    node, worker = NodeTable(), FakeWorker(tmp_path, "w")
    with rig(node.script()) as one:
        line = one.connect(worker.path, lambda call, stored: finish(call, stored, one.objects.refs), lambda _: None)
        call, refs, filled = made(one, 2)
        assert [ref.id for ref in refs] == [f"{call.slot.id}.0", f"{call.slot.id}.1"]
        line.send(call)
        came = worker.next(0)
        assert (came.invoke.returns, came.invoke.ref) == (2, call.slot.id)
        came.reply("a", more=True, refs=("9.1",))
        came.reply("b", more=True)
        worker.words.until(lambda words: Kept(0) in words)
        assert filled.ids == []  # it may fail yet
        came.reply("")
        one.until(lambda: all(ref.slot.done for ref in refs))
        assert [body_of(ref) for ref in refs] == [b"a", b"b"]
        assert filled.ids == [ref.id for ref in refs]
        assert node.held == {"9.1"}
        line.close()


def test_an_error_is_that_of_each_and_what_came_before_it_is_given_up(tmp_path: Path) -> None:
    worker = FakeWorker(tmp_path, "w")
    with rig() as one:
        line = one.connect(worker.path, lambda call, stored: finish(call, stored, one.objects.refs), lambda _: None)
        call, refs, _ = made(one, 3)
        line.send(call)
        came = worker.next(0)
        came.reply("", more=True, at=refs[0].id)
        came.fail(ValueError("no room for the second"))
        one.until(lambda: all(ref.slot.done for ref in refs))
        assert all(isinstance(ref.slot.stored.exception(), ValueError) for ref in refs if ref.slot.stored)
        one.service.tells.until(lambda _: one.service.told("object.drop"))
        assert one.service.told("object.drop") == [{"ids": [ref.id for ref in refs]}]
        line.close()


def test_a_try_that_was_lost_leaves_no_part_of_it(tmp_path: Path) -> None:
    workers = [FakeWorker(tmp_path, name) for name in "ab"]
    with rig() as one:
        call, refs, _ = made(one, 2)
        for worker, parts in zip(workers, (["old"], ["new 0", "new 1"]), strict=True):
            line = one.connect(worker.path, lambda call, stored: finish(call, stored, one.objects.refs), lambda _: None)
            line.send(call)
            came = worker.next(0)
            for part in parts:
                came.reply(part, more=True)
            if worker is workers[0]:
                one.until(lambda: call._parts)
            else:
                came.reply("")
                one.until(lambda: all(ref.slot.done for ref in refs))
            line.close()
        assert [body_of(ref) for ref in refs] == [b"new 0", b"new 1"]


def test_a_death_is_the_error_of_each() -> None:
    with rig() as one:
        call, refs, _ = made(one, 2)
        finish(call, Stored(None, error=WorkerDiedError("f", "n", 1, "signal 9")), one.objects.refs)
        for ref in refs:
            assert ref.slot.stored is not None
            assert isinstance(ref.slot.stored.exception(), WorkerDiedError)


@pytest.mark.parametrize(
    ("value", "count", "expected"),
    [((1, 2), 2, [1, 2]), ("ab", 2, ["a", "b"]), ({"a": 1}, 1, ["a"]), (None, 0, []), (iter([1]), 1, [1])],
)
def test_values_that_are_as_many_as_was_said(value: Any, count: int, expected: list[Any]) -> None:
    assert gathered(value, count) == expected


@pytest.mark.parametrize(("value", "said"), [((1,), "returned 1"), ((1, 2, 3), "more than 2"), (5, "a int")])
def test_values_that_are_not_so_many(value: Any, said: str) -> None:
    with pytest.raises(ValueError, match=f"num_returns=2.*{said}"):
        gathered(value, 2)


def test_what_a_generator_raises_itself_is_raised() -> None:
    def wrong() -> Iterator[int]:
        yield 1
        raise TypeError("mine")

    with pytest.raises(TypeError, match="mine"):
        gathered(wrong(), 2)


def test_an_async_generator_is_left_where_it_gave_too_many() -> None:
    async def counts() -> AsyncIterator[int]:
        for at in range(1_000_000_000):
            yield at

    assert asyncio.run(several((1, 2), 2)) == [1, 2]
    with pytest.raises(ValueError, match="more than 2"):
        asyncio.run(several(counts(), 2))


@pytest.mark.parametrize(
    ("written", "generates", "meant"),
    [
        *((None, False, None), (1, False, None), (1, True, None), (0, False, 0), (3, True, 3)),
        *(("streaming", False, -1), ("streaming", True, None), ("dynamic", False, -1)),
    ],
)
def test_what_num_returns_means(written: Any, generates: bool, meant: int | None) -> None:
    assert returns_of(written, generates) == meant


@pytest.mark.parametrize("wrong", [-1, 1.5, True, "two"])
def test_what_is_no_number_of_returns(wrong: Any) -> None:
    with pytest.raises(ConfigError, match="num_returns"):
        returns_of(wrong, False)
