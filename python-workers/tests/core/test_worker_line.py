"""Calls over a connection with a scripted worker."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from core_support import FakeWorker, NodeTable, rig

from twinkle_node.core import wire
from twinkle_node.core.calls import finish
from twinkle_node.core.protocol import Kept
from twinkle_node.core.stored import Stored
from twinkle_node.errors import TwinkleError, WorkerDiedError


def test_replies_find_their_calls_in_any_order(tmp_path: Path) -> None:
    worker = FakeWorker(tmp_path, "w")
    with rig() as made:
        over: dict[str, Stored] = {}
        line = made.connect(worker.path, lambda call, stored: over.__setitem__(call.target, stored), lambda _: None)
        calls = [made.call(name) for name in "abc"]
        for one in calls:
            line.send(one.call)
        for at in (2, 0, 1):
            came = worker.next(at)
            assert came.body == came.name.encode()
            came.reply(came.name.upper())
        made.until(lambda: len(over) == 3)
        assert {name: bytes(stored.body) for name, stored in over.items()} == {"a": b"A", "b": b"B", "c": b"C"}
        assert line.calls == {}
        line.close()


def test_references_in_a_result_are_held_before_the_worker_lets_go(tmp_path: Path) -> None:
    node, worker = NodeTable(), FakeWorker(tmp_path, "w")
    with rig(node.script()) as made:
        over: list[Stored] = []
        line = made.connect(worker.path, lambda _, stored: over.append(stored), lambda _: None)
        line.send(made.call("a").call)
        worker.next(0).reply("A", refs=("9.1", "9.2"))
        worker.words.until(lambda words: Kept(0) in words)
        assert node.held == {"9.1", "9.2"}
        made.until(lambda: over)
        over.clear()
        made.service.tells.until(lambda _: not node.held)
        line.close()


def test_a_large_result_that_nobody_waits_for_is_given_up(tmp_path: Path) -> None:
    node, worker = NodeTable(), FakeWorker(tmp_path, "w")
    with rig(node.script()) as made:
        line = made.connect(worker.path, lambda *_: None, lambda _: None)
        line.send(made.call("a").call)
        came = worker.next(0)
        line.calls.clear()
        came.reply("", at="7.5")
        made.service.tells.until(lambda _: made.service.told("object.drop"))
        assert made.service.told("object.drop") == [{"ids": ["7.5"]}]
        line.close()


def test_a_call_that_is_too_large_is_refused_and_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    worker = FakeWorker(tmp_path, "w")
    with rig() as made:
        line = made.connect(worker.path, lambda *_: None, lambda _: None)
        monkeypatch.setattr(wire, "LARGEST", 500)
        with pytest.raises(TwinkleError, match="500 bytes"):
            line.send(made.call("a" * 600).call)
        assert line.calls == {}
        line.close()


def test_nobody_listens() -> None:
    with rig() as made, pytest.raises(OSError, match="No such file"):
        made.connect("/nowhere/at/all", lambda *_: None, lambda _: None)


def test_a_worker_that_ends_is_told_once(tmp_path: Path) -> None:
    worker = FakeWorker(tmp_path, "w")
    with rig() as made:
        ends: list[str] = []
        line = made.connect(worker.path, lambda *_: None, ends.append)
        line.send(made.call("a").call)
        worker.next(0)
        worker.die()
        made.until(lambda: ends)
        line.close()
        assert len(ends) == 1
        assert line.ended


def test_a_generator_that_is_tried_again_gives_each_item_once(tmp_path: Path) -> None:
    workers = [FakeWorker(tmp_path, "first"), FakeWorker(tmp_path, "second")]
    with rig() as made:
        one = made.call("g", items=True)
        assert one.items is not None
        for worker, items in zip(workers, (["a", "b"], ["a", "b", "c"]), strict=True):
            line = made.connect(
                worker.path, lambda call, stored: finish(call, stored, made.objects.refs), lambda _: None
            )
            line.send(one.call)
            came = worker.next(0)
            for item in items:
                came.reply(item, more=True)
            made.until(lambda items=items: one.call.seen == len(items))
            if worker is workers[0]:
                line.close()
        came.reply("")
        got: list[Any] = [bytes(ref.slot.stored.body) for ref in one.items]  # type: ignore[union-attr]
        assert got == [b"a", b"b", b"c"]
        line.close()


def test_a_call_is_over_once() -> None:
    with rig() as made:
        one = made.call("g", items=True)
        assert one.items is not None
        finish(one.call, Stored(None, error=WorkerDiedError("g", "n", 1, "signal 9")), made.objects.refs)
        finish(one.call, Stored(None, error=ValueError("later")), made.objects.refs)
        with pytest.raises(WorkerDiedError):
            next(one.items)
        with pytest.raises(StopIteration):
            next(one.items)
        assert isinstance(one.error, WorkerDiedError)
