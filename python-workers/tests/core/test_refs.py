"""Counting references: in threads, by finalisers, and what the node is told of it."""

from __future__ import annotations

import itertools
import random
import time

from core_support import PATIENCE_S, NodeTable, rig, together

from twinkle_node.core.protocol import Value
from twinkle_node.core.refs import ObjectRef, RefTable, Slot
from twinkle_node.core.stored import Stored

NOTHING = Stored(Value("raw", [0], "", []))


def test_the_last_reference_is_told_once() -> None:
    gone: list[str] = []
    table = RefTable(lambda slots: gone.extend(slot.id for slot in slots))
    refs = [ObjectRef(table.take("1.1")[0], table) for _ in range(3)]
    while refs:
        assert gone == []
        refs.pop()
        table.sweep()
    table.sweep()
    assert gone == ["1.1"]
    assert len(table) == 0


def test_the_first_value_counts_and_everybody_is_told_once() -> None:
    table = RefTable(lambda _: None)
    slot, _ = table.take("1.1")
    told: list[Slot] = []
    table.when_done(slot, told.append)
    table.fulfil(slot, NOTHING)
    table.fulfil(slot, Stored(None, error=ValueError()))
    table.when_done(slot, told.append)
    assert told == [slot, slot]
    assert slot.stored is NOTHING


def test_a_chain_of_many_that_fail_one_after_another_needs_no_deep_stack() -> None:
    table = RefTable(lambda _: None)
    slots = [table.take(str(number))[0] for number in range(20_000)]
    for one, after in itertools.pairwise(slots):
        table.when_done(one, lambda _, after=after: table.fulfil(after, NOTHING))
    table.fulfil(slots[0], NOTHING)
    assert slots[-1].done


def test_values_and_callbacks_that_cross_in_threads_are_all_told() -> None:
    table = RefTable(lambda _: None)
    for _ in range(300):
        slots = [table.take("x")[0] for _ in range(1)]
        told: list[int] = []
        together(
            lambda slots=slots: table.fulfil(slots[0], NOTHING),
            lambda slots=slots, told=told: table.when_done(slots[0], lambda _: told.append(1)),
        )
        assert told == [1]
        table.note_dead("x")
        table.sweep()


def test_what_a_thread_has_is_held_by_the_node_however_references_come_and_go() -> None:
    node = NodeTable()
    with rig(node.script()) as made:

        def come_and_go(seed: int) -> None:
            seeded = random.Random(seed)
            for _ in range(250):
                ids = [f"9.{number}" for number in seeded.sample(range(6), 2)]
                kept = made.objects.adopt(ids)
                assert node.held.issuperset(ids), "adopted, and not held"
                if seeded.random() < 0.3:
                    kept.append(made.objects.borrowed(f"9.{seeded.randrange(6)}"))
                made.link.call("object.x", {}, deadline=time.monotonic() + PATIENCE_S)
                assert node.held.issuperset(ref.id for ref in kept), "dropped, and still here"
                del kept

        together(*[lambda seed=seed: come_and_go(seed) for seed in range(4)])
        for _ in range(2):  # one sweeps before it sleeps, the next is answered after that was heard
            made.link.call("object.x", {}, deadline=time.monotonic() + PATIENCE_S)
        assert len(made.objects.refs) == 0
        assert node.held == set()
        assert node.count.total() > 20


def test_a_reference_that_goes_while_nothing_else_happens_is_told_at_once() -> None:
    node = NodeTable()
    with rig(node.script()) as made:
        for number in range(20):
            kept = made.objects.adopt([f"9.{number}"])
            # Until the background thread sleeps.
            end = time.monotonic() + PATIENCE_S
            while not made.pump._asleep:
                assert time.monotonic() < end
                time.sleep(0.001)
            del kept
            made.service.tells.until(lambda tells, number=number: len(tells) == number + 1)


def test_thousands_that_go_at_once_are_told_in_few_messages() -> None:
    node = NodeTable()
    with rig(node.script(), background=False) as made:
        kept = made.objects.adopt([f"9.{number}" for number in range(3000)])
        assert len(node.held) == 3000
        kept.clear()
        made.link.call("object.x", {})
        made.service.tells.until(lambda _: not node.held)
        assert len(made.service.told("object.drop")) < 10
