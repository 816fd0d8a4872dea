"""Results that come one by one: taken by threads and coroutines, or dropped half-way."""

from __future__ import annotations

import asyncio
import gc
from pathlib import Path
from typing import Any

import pytest
from core_support import Came, FakeWorker, Made, NodeTable, Rig, rig, together

from twinkle_node.core.calls import finish
from twinkle_node.core.refs import ObjectRef


def begun(made: Rig, folder: Path) -> tuple[Made, Came, Any]:
    worker = FakeWorker(folder, "w")
    line = made.connect(worker.path, lambda call, stored: finish(call, stored, made.objects.refs), lambda _: None)
    one = made.call("g", items=True)
    line.send(one.call)
    return one, worker.next(0), line


def text(ref: ObjectRef) -> str:
    assert ref.slot.stored is not None
    return bytes(ref.slot.stored.body).decode()


def test_items_come_in_their_order_then_the_end(tmp_path: Path) -> None:
    with rig() as made:
        one, came, _ = begun(made, tmp_path)
        for number in range(5):
            came.reply(str(number), more=True)
        came.reply("")
        assert one.items is not None
        assert [text(ref) for ref in one.items] == ["0", "1", "2", "3", "4"]
        assert one.items.completed().slot.done
        with pytest.raises(StopIteration):
            next(one.items)


def test_an_error_in_the_middle_comes_after_the_items_before_it(tmp_path: Path) -> None:
    with rig() as made:
        one, came, _ = begun(made, tmp_path)
        came.reply("a", more=True)
        came.fail(ValueError("enough"))
        assert one.items is not None
        assert text(next(one.items)) == "a"
        with pytest.raises(ValueError, match="enough"):
            next(one.items)
        with pytest.raises(StopIteration):
            next(one.items)


def test_several_threads_take_each_item_once(tmp_path: Path) -> None:
    with rig() as made:
        one, came, _ = begun(made, tmp_path)
        got: list[str] = []

        def take() -> None:
            assert one.items is not None
            got.extend(text(ref) for ref in one.items)

        def give() -> None:
            for number in range(400):
                came.reply(str(number), more=True)
            came.reply("")

        together(take, take, take, give)
        assert sorted(got, key=int) == [str(number) for number in range(400)]


def test_who_waits_for_long_is_said_to_be_blocked(tmp_path: Path) -> None:
    with rig() as made:
        one, came, _ = begun(made, tmp_path)
        said: list[int] = []
        made.before_waiting = lambda: (said.append(1), came.reply("late", more=True))[0]  # type: ignore[method-assign]
        assert one.items is not None
        assert text(next(one.items)) == "late"
        assert said == [1]


def test_large_items_of_a_generator_that_was_dropped_are_given_up(tmp_path: Path) -> None:
    node = NodeTable()
    with rig(node.script()) as made:
        one, came, line = begun(made, tmp_path)
        came.reply("", more=True, at="7.0.0")
        came.reply("", more=True, at="7.0.1")
        assert one.items is not None
        first = next(one.items)
        assert first.slot.known
        one.items = None
        gc.collect()
        made.service.tells.until(lambda _: node.count["7.0.1"] == 1)
        came.reply("", more=True, at="7.0.2")
        came.reply("")
        made.service.tells.until(lambda _: node.count["7.0.2"] == 1)
        assert node.count["7.0.0"] == 0
        del first
        made.service.tells.until(lambda _: node.count["7.0.0"] == 1)
        made.until(lambda: one.done)
        line.close()


def test_coroutines_take_items_too_and_one_that_is_cancelled_leaves_nothing_behind(tmp_path: Path) -> None:
    with rig() as made:
        one, came, _ = begun(made, tmp_path)
        assert one.items is not None
        items = one.items

        async def take() -> list[str]:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(anext(items), 0.02)
            assert items._sleepers == []
            came.reply("a", more=True)
            got = [text(await anext(items))]
            came.reply("b", more=True)
            came.reply("")
            return got + [text(ref) async for ref in items]

        assert asyncio.run(take()) == ["a", "b"]


def test_the_end_of_a_loop_that_waited_harms_nobody(tmp_path: Path) -> None:
    with rig() as made:
        one, came, _ = begun(made, tmp_path)
        assert one.items is not None
        loop = asyncio.new_event_loop()
        waiting = loop.create_task(one.items.__anext__())  # type: ignore[arg-type]
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()
        came.reply("a", more=True)
        came.reply("")
        assert [text(ref) for ref in one.items] == ["a"]
        assert made.link.over is None
        waiting._log_destroy_pending = False  # type: ignore[attr-defined]
