"""What cannot be sent is named with its place in the value."""

from __future__ import annotations

import functools
import threading
from typing import Any

import pytest

from twinkle_node.core.value import pack, pack_call
from twinkle_node.errors import SerializationError, TwinkleError

LOCK = threading.Lock()


class Service:
    def __init__(self) -> None:
        self.name = "s"
        self.lock = threading.Lock()

    def call(self) -> None:
        """Bound to what cannot be sent."""


class Slotted:
    __slots__ = ("socket",)

    def __init__(self) -> None:
        self.socket = threading.Lock()


class Broken:
    def __getstate__(self) -> Any:
        raise RuntimeError("no state today")


def closing_over(lock: Any) -> Any:
    return lambda: lock


def test_arguments_are_named_by_their_place() -> None:
    with pytest.raises(SerializationError) as caught:
        pack_call((1, Service()), {})
    assert caught.value.path == "arg[1].lock"
    assert caught.value.type_name == "_thread.lock"
    assert "cannot send `arg[1].lock`: a _thread.lock" in str(caught.value)
    assert "__getstate__" in str(caught.value)
    with pytest.raises(SerializationError) as caught:
        pack_call((), {"db": [Service()]})
    assert caught.value.path == "arg['db'][0].lock"


@pytest.mark.parametrize(
    ("make", "path"),
    [
        (lambda: [1, {"a": (2, LOCK)}], "value[1]['a'][1]"),
        (lambda: Slotted(), "value.socket"),
        (lambda: Service().call, "value.__self__.lock"),
        (lambda: functools.partial(print, 1, file=LOCK), "value.keywords['file']"),
        (lambda: closing_over(LOCK), "value.closure.lock"),
        (lambda: (i for i in ()), "value"),
        (lambda: Broken(), "value"),
        (lambda: {"k": Broken()}, "value['k']"),
    ],
)
def test_the_path_leads_to_the_innermost_part_that_fails(make: Any, path: str) -> None:
    with pytest.raises(SerializationError) as caught:
        pack(make())
    assert caught.value.path == path
    assert caught.value.__cause__ is not None
    assert isinstance(caught.value, (TwinkleError, TypeError))


def test_a_global_that_a_local_function_uses_is_named() -> None:
    space: dict[str, Any] = {"HELD": LOCK, "__name__": "__main__"}
    exec("def task():\n    def inner():\n        return HELD\n    return inner()", space)
    with pytest.raises(SerializationError) as caught:
        pack(space["task"])
    assert caught.value.path == "value.globals.HELD"


def test_the_reason_of_a_class_of_ones_own_is_told() -> None:
    with pytest.raises(SerializationError, match="no state today"):
        pack(Broken())


def test_advice_fits_what_it_is_about(tmp_path: Any) -> None:
    with open(tmp_path / "f", "w") as file, pytest.raises(SerializationError, match="its path"):
        pack(file)
    with pytest.raises(SerializationError, match="list of what it gives"):
        pack(i for i in ())


def test_a_cycle_around_the_culprit_ends_the_search() -> None:
    loop: list[Any] = [LOCK]
    loop.insert(0, loop)
    with pytest.raises(SerializationError) as caught:
        pack(loop)
    assert caught.value.path == "value[1]"


def test_a_value_that_is_nested_without_end_is_told_so() -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(SerializationError, match="recursion"):
        pack(deep)


def test_memory_that_runs_out_is_no_fault_of_the_value() -> None:
    class Huge:
        def __reduce__(self) -> Any:
            raise MemoryError

    with pytest.raises(MemoryError):
        pack(Huge())


def test_a_value_that_fails_only_once_is_refused_all_the_same() -> None:
    class Moody:
        calls = 0

        def __reduce__(self) -> Any:
            Moody.calls += 1
            if Moody.calls == 1:
                raise ValueError("not now")
            return str, ()

    with pytest.raises(SerializationError, match="cannot send `value`: not now"):
        pack(Moody())
