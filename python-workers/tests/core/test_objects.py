"""Values on their way out and in, with a scripted node."""

from __future__ import annotations

import gc
import os
import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from core_support import CLIENT, INLINE, PATIENCE_S, Gone, NodeTable, Rig, Service, Silence, rig, together

from twinkle_node.core import objects as objects_module
from twinkle_node.core import opened as opened_module
from twinkle_node.core.objects import Escapes, Objects
from twinkle_node.core.protocol import Value
from twinkle_node.core.refs import ObjectRef
from twinkle_node.core.stored import Stored
from twinkle_node.core.value import pack
from twinkle_node.errors import TwinkleError

SLAB = 1 << 20
INNER = Stored(Value("raw", [3], "", []), b"abc")


class Store(NodeTable):
    """One slab, in which every object has its own place."""

    def __init__(self) -> None:
        super().__init__()
        self.fd = os.memfd_create("slab")
        os.ftruncate(self.fd, SLAB)
        self.objects: dict[str, Any] = {}
        self.where_fails = False
        self.opened: list[str] = []

    def script(self) -> dict[str, Any]:
        return {
            **super().script(),
            "object.reserve": lambda params, _: {"slab": 1, "offset": 4096, "size": params["bytes"]},
            "object.seal": lambda params, _: self.objects.__setitem__(params["id"], params["value"]),
            "object.open": self._open,
            "object.close": lambda params, _: [self.opened.remove(one) for one in params["ids"]],
            "slab.where": lambda *_: {"pid": os.getpid(), "fd": 9999 if self.where_fails else self.fd, "size": SLAB},
        }

    def _open(self, params: Any, _body: bytes) -> Any:
        (one,) = params["ids"]
        if one not in self.objects:
            raise Gone
        self.opened.append(one)
        return [{"value": self.objects[one], "block": {"slab": 1, "offset": 4096, "size": 0}}]


@pytest.fixture
def store() -> Iterator[Store]:
    made = Store()
    yield made
    os.close(made.fd)


def seal(made: Rig, value: Any) -> ObjectRef:
    ref = made.objects.new_ref()
    sealed = made.objects.seal(ref.id, pack(value), [], [CLIENT])
    ref.slot.known = True
    made.objects.refs.fulfil(ref.slot, Stored(sealed))
    return ref


def test_a_large_value_is_read_where_it_lies_and_closed_after_its_last_view(store: Store) -> None:
    with rig(store.script()) as made:
        ref = seal(made, [np.arange(1000.0), np.arange(500)])
        first, second = made.objects.value_of(ref.slot.stored)  # type: ignore[arg-type]
        assert first[-1] == 999.0
        assert not second.flags.writeable
        assert store.opened == [ref.id]
        part = second[7:9]
        del first, second
        gc.collect()
        made.link.call("object.x", {})
        assert store.opened == [ref.id]
        assert list(part) == [7, 8]
        del part
        made.service.tells.until(lambda _: not store.opened)


@pytest.mark.parametrize("settle", [False, True])
def test_a_seal_is_answered_before_its_reference_is_handed_on_where_another_box_counts(
    store: Store, settle: bool
) -> None:
    with rig(store.script()) as made:
        objects = Objects(made.link, CLIENT, INLINE, lambda _: None, settle)
        own, other = objects.new_ref(), objects.new_ref()
        objects.seal(own.id, pack(np.arange(1000.0)), [], [CLIENT])
        objects.seal(other.id, pack(np.arange(1000.0)), [], [CLIENT + 1])
        made.link.call("object.x", {})
        sealed = [
            [one["id"] for one in said]
            for said in (made.service.told("object.seal"), made.service.asked("object.seal"))
        ]
        assert sealed == ([[], [own.id, other.id]] if settle else [[own.id], [other.id]])


def test_room_is_given_back_when_a_seal_is_refused(store: Store) -> None:
    def refused(*_: Any) -> None:
        raise Gone

    with rig({**store.script(), "object.seal": refused}) as made:
        objects = Objects(made.link, CLIENT, INLINE, lambda _: None, settle=True)
        with pytest.raises(TwinkleError):
            objects.prepare(pack(np.arange(1000.0)), Escapes())
        made.service.asks.until(lambda _: made.service.asked("object.abandon"))


def test_what_is_read_again_soon_is_not_asked_for_again_and_is_closed_with_its_last_reference(store: Store) -> None:
    with rig(store.script()) as made:
        ref = seal(made, np.arange(1000.0))
        for _ in range(3):
            assert made.objects.value_of(ref.slot.stored)[-1] == 999.0  # type: ignore[arg-type]
        both = [made.objects.value_of(ref.slot.stored) for _ in range(2)]  # type: ignore[arg-type]
        made.link.call("object.x", {})
        assert store.opened == [ref.id]
        del ref
        gc.collect()
        made.link.call("object.x", {})
        assert store.opened != []  # two values lie in it
        del both
        gc.collect()
        made.service.tells.until(lambda _: not store.opened)


def test_a_value_that_cannot_be_read_is_closed_all_the_same(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    with rig(store.script()) as made:
        ref = seal(made, [np.arange(1000.0), np.arange(500)])
        assert ref.slot.stored is not None
        views: list[Any] = []

        def fails(*args: Any) -> Any:
            if views:
                raise MemoryError
            views.append(1)
            return original(*args)

        original = opened_module.pinned_view
        monkeypatch.setattr(opened_module, "pinned_view", fails)
        with pytest.raises(MemoryError):
            made.objects.value_of(ref.slot.stored)
        gc.collect()
        made.service.tells.until(lambda _: not store.opened)
        made.objects.forget_slab(1)
        store.where_fails = True
        with pytest.raises(OSError, match="9999"):
            made.objects.value_of(ref.slot.stored)
        made.service.tells.until(lambda _: not store.opened)


def test_room_for_what_cannot_be_written_is_given_up(store: Store) -> None:
    store.where_fails = True
    with rig(store.script()) as made:
        with pytest.raises(OSError, match="9999"):
            made.objects.seal("7.1", pack(np.arange(1000.0)), [], [CLIENT])
        made.service.asks.until(lambda _: made.service.asked("object.abandon"))
        assert made.service.asked("object.abandon") == [{"id": "7.1"}]


def test_a_large_argument_is_held_until_its_call_is_over(store: Store) -> None:
    with rig(store.script()) as made:
        outgoing = made.objects.prepare(pack(np.arange(1000.0)), Escapes())
        assert outgoing.parts == []
        made.link.call("object.x", {})
        assert outgoing.value.at in store.objects
        assert not made.service.told("object.drop")
        outgoing.keep.clear()
        made.service.tells.until(lambda _: made.service.told("object.drop"))
        assert made.service.told("object.drop") == [{"ids": [outgoing.value.at]}]


def test_no_thread_hands_on_a_reference_before_the_node_knows_it() -> None:
    published = threading.Event()
    begun = threading.Event()

    def publish(*_: Any) -> None:
        begun.set()
        raise Silence

    with rig({"object.publish": publish}) as made:
        ref = made.objects.new_ref()
        made.objects.refs.fulfil(ref.slot, INNER)

        def hand_on() -> None:
            made.objects.make_known([ref.slot])
            assert published.is_set(), "handed on too early"

        def answer() -> None:
            begun.wait()
            made.service.asks.until(lambda asks: len(asks) == 2)
            published.set()
            for number, *_ in list(made.service.asks.all):
                made.service.answer(number, None)

        together(hand_on, hand_on, answer)
        assert ref.slot.known


def test_a_promise_is_fulfilled_later_and_again_after_a_failure_to_publish_it() -> None:
    with rig({"object.publish": lambda *_: None}) as made:
        ref = made.objects.new_ref()
        made.objects.make_known([ref.slot])
        assert made.service.asked("object.publish") == [{"ids": [ref.id], "values": [None]}]
        made.objects.refs.fulfil(ref.slot, INNER)
        made.service.tells.until(lambda _: made.service.told("object.fulfil"))
        made.objects.make_known([ref.slot])
        assert len(made.service.asked("object.publish")) == 1


def test_a_promise_that_is_let_go_of_before_it_is_fulfilled_is_not_held_for_it() -> None:
    with rig({"object.publish": lambda *_: None}) as made:
        ref = made.objects.new_ref()
        slot = ref.slot
        made.objects.make_known([slot])
        del ref
        made.service.tells.until(lambda _: made.service.told("object.drop"))
        made.objects.refs.fulfil(slot, INNER)  # others wait for it
        made.service.tells.until(lambda _: len(made.service.told("object.drop")) == 2)
        assert [method for method, *_ in made.service.tells.all][-2:] == ["object.fulfil", "object.drop"]


def test_references_to_much_are_published_in_several_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objects_module, "BATCH_BYTES", 2500)
    with rig({"object.publish": lambda *_: None}) as made:
        refs = [made.objects.new_ref() for _ in range(10)]
        for ref in refs:
            made.objects.refs.fulfil(ref.slot, Stored(Value("raw", [1000], "", []), bytes(1000)))
        made.objects.make_known(ref.slot for ref in refs)
        asked = made.service.asked("object.publish")
        assert [len(one["ids"]) for one in asked] == [3, 3, 3, 1]


def test_many_references_inside_one_value_are_each_said_once() -> None:
    class Reference:
        def __init__(self, number: int) -> None:
            self.number = number

        def travels_as(self) -> tuple[str, str]:
            return "ref", str(self.number)

    escapes = Escapes()
    began = time.process_time()
    for _ in range(2):
        for number in range(20_000):
            escapes(Reference(number))
    assert escapes.ids == [str(number) for number in range(20_000)]
    assert len(escapes.found) == 40_000
    assert time.process_time() - began < 5


def test_what_the_node_has_lost_is_an_error_of_the_reference() -> None:
    def gone(*_: Any) -> None:
        raise Gone

    with rig({"object.look": gone}) as made:
        ref = made.objects.borrowed("9.1")
        made.objects.fetch(ref.slot)
        made.objects.fetch(ref.slot)
        made.until(lambda: ref.slot.done)
        assert ref.slot.stored is not None
        with pytest.raises(TwinkleError) as raised:
            made.objects.value_of(ref.slot.stored)
        assert raised.value.code == "OBJECT_LOST"
        assert len(made.service.asked("object.look")) == 1


def test_references_inside_a_fetched_value_are_held_as_long_as_it() -> None:
    node = NodeTable()
    value = {"f": "raw", "s": [3], "at": "", "refs": ["9.2"]}
    script = {**node.script(), "object.look": lambda *_: ({"value": value, "block": None}, b"abc")}
    with rig(script) as made:
        refs = [made.objects.borrowed("9.1")]
        made.objects.fetch(refs[0].slot)
        made.until(lambda: refs[0].slot.done)
        made.service.asks.until(lambda _: "9.2" in node.held)
        refs.clear()
        made.service.tells.until(lambda _: not node.held)


def test_a_service_that_dies_while_a_value_is_waited_for_is_an_error() -> None:
    with rig({"object.look": lambda *_: service.die()}) as made:
        service: Service = made.service
        ref = made.objects.borrowed("9.1")
        made.objects.fetch(ref.slot)
        assert made.pump.drive(lambda: ref.slot.done, time.monotonic() + PATIENCE_S)
        assert ref.slot.stored is not None
        assert isinstance(ref.slot.stored.exception(), TwinkleError)
