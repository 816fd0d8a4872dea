"""References inside values: found however deep they lie, replaced by what the hook says, and made anew on the other side."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from twinkle_node.core.exported import export
from twinkle_node.core.pickler import reference_class
from twinkle_node.core.value import Packed, pack, pack_call, unpack
from twinkle_node.errors import SerializationError


@reference_class
class Ref:
    def __init__(self, id: str) -> None:
        self.id = id


@reference_class
class Handle:
    def __init__(self, id: str, methods: dict[str, int]) -> None:
        self.id = id
        self.methods = methods

    def __getattr__(self, name: str) -> Any:
        return lambda: name


@dataclasses.dataclass
class Holder:
    inner: Any


def hook(obj: Any) -> tuple[Any, ...]:
    return ("ref", obj.id) if isinstance(obj, Ref) else ("actor", obj.id, obj.methods)


def load(payload: tuple[Any, ...]) -> Any:
    return Ref(payload[1]) if payload[0] == "ref" else Handle(*payload[1:])


def back(packed: Packed) -> Any:
    return unpack(packed.format, packed.head, packed.buffers, load)


def test_references_are_found_wherever_they_lie() -> None:
    captured = Ref("4.1")
    value = [
        Ref("1.1"),
        {"a": (Ref("1.2"),)},
        Holder([Ref("1.3")]),
        {Ref("1.4")},
        lambda: captured,
        Handle("a1", {"go": 1}),
    ]
    packed = pack(value, ref_hook=hook)
    assert sorted(packed.refs) == ["1.1", "1.2", "1.3", "1.4", "4.1", "a1"]
    first, second, third, fourth, fifth, sixth = back(packed)
    ids = [first.id, second["a"][0].id, third.inner[0].id, next(iter(fourth)).id, fifth().id]
    assert ids == ["1.1", "1.2", "1.3", "1.4", "4.1"]
    assert (type(sixth), sixth.id, sixth.methods) == (Handle, "a1", {"go": 1})


def test_an_id_is_listed_once_and_one_reference_stays_one_object() -> None:
    ref = Ref("1.1")
    packed = pack_call((ref, ref, Ref("1.1")), {"again": ref}, hook)
    assert packed.refs == ["1.1"]
    args, kwargs = back(packed)
    assert args[0] is args[1] is kwargs["again"]


def test_a_value_without_references_lists_none() -> None:
    packed = pack([1, Holder(2)], ref_hook=hook)
    assert packed.refs == []


def test_a_reference_alone_is_a_value() -> None:
    packed = pack(Ref("2.7"), ref_hook=hook)
    assert packed.refs == ["2.7"]
    assert back(packed).id == "2.7"


def test_a_value_unpacked_while_another_is_keeps_its_own_loader() -> None:
    inner = pack([Ref("inner")], ref_hook=hook)

    class Nested:
        def __reduce__(self) -> Any:
            return _unpack_inner, (inner.head,)

    packed = pack([Ref("1"), Nested(), Ref("2")], ref_hook=hook)
    first, nested, second = back(packed)
    assert (first.id, nested, second.id) == ("1", [("ref", "inner")], "2")


def _unpack_inner(head: bytes) -> Any:
    return unpack("pickle", head, (), lambda payload: payload)


def test_without_a_hook_a_reference_is_refused_where_it_lies() -> None:
    with pytest.raises(SerializationError) as caught:
        pack({"deep": [0, Ref("1.1")]})
    assert caught.value.path == "value['deep'][1]"
    assert caught.value.type_name.endswith("Ref")


def test_a_function_that_captured_a_reference_cannot_be_exported() -> None:
    ref = Ref("1.1")

    def task() -> Any:
        return ref

    with pytest.raises(SerializationError, match=r"closure\.ref"):
        export(task)


def test_without_a_loader_the_payload_is_named() -> None:
    packed = pack([Ref("1.1")], ref_hook=hook)
    with pytest.raises(SerializationError, match=r"1\.1"):
        unpack(packed.format, packed.head)


def test_a_hook_is_called_once_per_reference_also_when_the_value_cannot_be_sent(tmp_path: Any) -> None:
    seen: list[str] = []

    def counting(obj: Any) -> tuple[Any, ...]:
        seen.append(obj.id)
        return hook(obj)

    with open(tmp_path / "f", "w") as file, pytest.raises(SerializationError) as caught:
        pack([Ref("1.1"), Ref("1.2"), file], ref_hook=counting)
    assert seen == ["1.1", "1.2"]
    assert caught.value.path == "value[2]"
