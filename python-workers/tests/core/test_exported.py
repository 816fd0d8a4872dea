"""Functions and classes are exported once and loaded once."""

from __future__ import annotations

import gc
import hashlib
import threading
from typing import Any

import pytest

from twinkle_node.core import exported
from twinkle_node.core.exported import Imported, export, key_of
from twinkle_node.core.pickler import dumps
from twinkle_node.errors import SerializationError


def make(number: int) -> Any:
    return lambda: number


class Unhashable:
    __hash__ = None  # type: ignore[assignment]

    def __call__(self) -> int:
        return 5


def test_the_key_is_made_of_the_blob_and_the_name_is_for_people() -> None:
    function = make(1)
    key, blob, name = export(function)
    assert key == hashlib.sha256(blob).hexdigest()[:32]
    assert name == f"{__name__}.make.<locals>.<lambda>"
    assert Imported().get(key, lambda: blob)() == 1


def test_an_object_is_pickled_once_while_it_lives(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Any] = []

    def counting(obj: Any) -> bytes:
        calls.append(obj)
        return dumps(obj)

    monkeypatch.setattr(exported, "dumps", counting)
    first, second = make(1), make(1)
    assert export(first) is export(first)
    assert export(second) is not export(first)
    assert export(second).key == export(first).key
    assert len(calls) == 2


def test_nothing_is_remembered_of_objects_that_are_gone() -> None:
    gc.collect()
    before = len(exported._exports)
    for number in range(50):
        export(make(number))

    class Local:
        pass

    export(Local)
    del Local
    gc.collect()
    assert len(exported._exports) == before


def test_callables_that_have_no_hash_or_no_weak_references_are_exported() -> None:
    assert Imported().get(export(Unhashable()).key, lambda: export(Unhashable()).blob)() == 5
    assert export("abc".upper).name == "str.upper"


def test_two_exports_of_equal_code_are_one_import() -> None:
    cache = Imported()
    one, two = export(make(3)), export(make(3))
    assert cache.get(one.key, lambda: one.blob) is cache.get(two.key, lambda: two.blob)


def test_the_blob_is_fetched_once_and_again_after_it_was_dropped() -> None:
    cache = Imported(limit=2)
    fetched: list[int] = []
    things = [export(make(number)) for number in range(3)]

    def get(number: int) -> Any:
        def fetch() -> bytes:
            fetched.append(number)
            return things[number].blob

        return cache.get(things[number].key, fetch)

    assert [get(0)(), get(1)(), get(0)()] == [0, 1, 0]
    get(2)  # drops 1, which was used longest ago
    get(0)
    get(1)
    assert fetched == [0, 1, 2, 1]
    assert len(cache) == 2


def test_a_thread_that_asks_for_a_key_that_is_being_loaded_waits_for_it() -> None:
    cache = Imported()
    thing = export(make(9))
    loaded: list[Any] = []
    fetched: list[str] = []

    def late() -> bytes:
        fetched.append("late")
        return thing.blob

    second = threading.Thread(target=lambda: loaded.append(cache.get(thing.key, late)))

    def first() -> bytes:
        fetched.append("first")
        second.start()
        second.join(0.1)
        assert second.is_alive()
        return thing.blob

    loaded.append(cache.get(thing.key, first))
    second.join()
    assert fetched == ["first"]
    assert loaded[0] is loaded[1]


def test_loading_may_ask_for_its_own_key() -> None:
    cache = Imported()
    thing = export(make(9))

    inner: list[Any] = []

    def fetch() -> bytes:
        inner.append(cache.get(thing.key, lambda: thing.blob))
        return thing.blob

    assert cache.get(thing.key, fetch) is inner[0]


def test_one_key_that_waits_for_its_blob_keeps_no_other_waiting() -> None:
    cache = Imported()
    slow, quick = export(make(1)), export(make(2))
    asked, answer = threading.Event(), threading.Event()

    def fetch() -> bytes:
        asked.set()
        answer.wait()
        return slow.blob

    thread = threading.Thread(target=lambda: cache.get(slow.key, fetch))
    thread.start()
    asked.wait()
    assert cache.get(quick.key, lambda: quick.blob)() == 2
    answer.set()
    thread.join()
    assert len(cache) == 2


def test_a_failed_fetch_is_raised_and_the_next_one_tries_again() -> None:
    cache = Imported()
    thing = export(make(4))

    def fail() -> bytes:
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        cache.get(thing.key, fail)
    assert cache.get(thing.key, lambda: thing.blob)() == 4


def test_a_blob_of_another_key_is_refused() -> None:
    with pytest.raises(SerializationError, match=key_of(b"other")):
        Imported().get(export(make(1)).key, lambda: b"other")


def test_what_cannot_be_exported_is_named() -> None:
    lock = threading.Lock()

    def task() -> Any:
        return lock

    with pytest.raises(SerializationError, match=r"task\.closure\.lock"):
        export(task)
