"""Values go through pack and unpack unchanged, and large ones are not copied."""

from __future__ import annotations

import collections
import copyreg
import dataclasses
import enum
import threading
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twinkle_node.core.value import Packed, pack, pack_call, unpack

scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary()
surrogates = st.text(st.characters(codec=None))
keys = st.text() | st.integers() | st.tuples(st.integers(), st.text())
values = st.recursive(
    scalars | surrogates | st.complex_numbers(allow_nan=False),
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(keys, inner),
    max_leaves=20,
)


def travelled(value: Any, **options: Any) -> Any:
    packed = pack(value, **options)
    return unpack(packed.format, packed.head, packed.buffers)


class Colour(enum.Enum):
    RED = 1


@dataclasses.dataclass
class Point:
    x: int
    y: list[int]


@given(values)
@settings(deadline=None)
def test_plain_values_come_back_equal_and_of_the_same_type(value: Any) -> None:
    back = travelled(value)
    assert back == value
    assert type(back) is type(value)
    assert repr(back) == repr(value)


@given(st.lists(values, max_size=4), st.dictionaries(st.text(), values, max_size=3))
@settings(deadline=None)
def test_arguments_come_back(args: list[Any], kwargs: dict[str, Any]) -> None:
    packed = pack_call(tuple(args), kwargs)
    assert unpack(packed.format, packed.head, packed.buffers) == (tuple(args), kwargs)


@pytest.mark.parametrize("call", [((lambda: 5,), {}), ((), {"f": lambda: 5}), ((1,), {"a": "b", "f": lambda: 5})])
def test_a_function_among_plain_arguments_goes_by_value(call: tuple[Any, dict[str, Any]]) -> None:
    packed = pack_call(*call)
    args, kwargs = unpack(packed.format, packed.head, packed.buffers)
    assert (*args, *kwargs.values())[-1]() == 5


@pytest.mark.parametrize(
    ("value", "format"),
    [
        (b"abc", "raw"),
        (None, "msgpack"),
        (True, "msgpack"),
        (2**64 - 1, "msgpack"),
        (-(2**63), "msgpack"),
        (1.5, "msgpack"),
        ("text", "msgpack"),
        (2**64, "pickle"),
        (-(2**63) - 1, "pickle"),
        ("\ud800", "pickle"),
        (bytearray(b"abc"), "pickle"),
        (np.float64(1.5), "pickle"),
        ([1], "pickle"),
        (Colour.RED, "pickle"),
    ],
)
def test_the_format_is_the_simplest_that_keeps_the_exact_type(value: Any, format: str) -> None:
    assert pack(value).format == format
    assert type(travelled(value)) is type(value)
    assert travelled(value) == value


@pytest.mark.parametrize(
    "value",
    [
        Point(1, [2]),
        collections.OrderedDict(a=1),
        collections.deque([1]),
        {1, 2},
        slice(1, 2),
        print,
        range(3),
        {}.keys(),
        len,
        int,
    ],
)
def test_objects_that_are_no_plain_data_come_back(value: Any) -> None:
    assert (
        list(travelled([value])[0]) == list(value)
        if isinstance(value, type({}.keys()))
        else travelled([value]) == [value]
    )


def test_one_object_twice_in_a_value_is_one_object_afterwards() -> None:
    shared: list[int] = [1]
    loop: list[Any] = [shared, shared]
    loop.append(loop)
    back = travelled(loop)
    assert back[0] is back[1]
    assert back[2] is back


def test_the_size_counts_head_and_buffers() -> None:
    packed = pack(np.zeros(1000))
    assert packed.size == len(packed.head) + 8000
    assert len(packed.head) < 300
    assert Packed("raw", b"abc").size == 3


def test_an_array_is_neither_copied_when_packed_nor_when_unpacked() -> None:
    array = np.arange(1 << 20).reshape(1024, 1024)
    packed = pack({"a": [array]})
    (buffer,) = packed.buffers
    assert buffer.format == "B"
    assert buffer.contiguous
    assert np.shares_memory(np.frombuffer(buffer, np.uint8), array)
    back = unpack(packed.format, packed.head, packed.buffers)["a"][0]
    assert np.shares_memory(back, array)
    assert np.array_equal(back, array)


@pytest.mark.parametrize(
    "array", [np.arange(12).reshape(3, 4).T, np.arange(12)[::2], np.zeros(0), np.array(5.0), np.array([None, "a"])]
)
def test_arrays_of_any_layout_come_back_equal(array: Any) -> None:
    back = travelled(array)
    assert back.shape == array.shape
    assert back.dtype == array.dtype
    assert np.array_equal(back, array)


def test_an_array_over_a_read_only_buffer_is_read_only_and_one_over_a_writable_buffer_is_not() -> None:
    packed = pack([np.arange(4)])
    (sealed,) = unpack(packed.format, packed.head, [memoryview(bytes(packed.buffers[0]))])
    assert not sealed.flags.writeable
    with pytest.raises(ValueError, match="WRITEABLE"):
        sealed.flags.writeable = True
    (own,) = unpack(packed.format, packed.head, [memoryview(bytearray(packed.buffers[0]))])
    own[0] = 7
    assert own[0] == 7


def test_head_may_be_a_view_and_raw_bytes_are_copied_out_of_it() -> None:
    memory = bytearray(b"abc")
    back = unpack("raw", memoryview(memory))
    memory[0] = 0
    assert back == b"abc"
    assert type(back) is bytes
    assert unpack("msgpack", memoryview(pack(7).head)) == 7
    assert unpack("pickle", memoryview(pack([7]).head)) == [7]


def test_functions_lambdas_closures_and_local_classes_come_back() -> None:
    step = 3

    class Local:
        def add(self, x: int) -> int:
            return x + step

    assert travelled(lambda x: x + step)(1) == 4
    assert travelled([Local])[0]().add(1) == 4
    assert travelled([Local().add])[0](2) == 5


def test_a_reducer_that_was_registered_late_is_used() -> None:
    class Late:
        pass

    copyreg.pickle(Late, lambda _: (str, ("reduced",)))  # type: ignore[arg-type]
    try:
        assert travelled([Late()]) == ["reduced"]
    finally:
        del copyreg.dispatch_table[Late]


def test_many_threads_pack_at_once() -> None:
    wrong: list[Any] = []

    def work(number: int) -> None:
        for step in range(200):
            value = {"number": number, "array": np.full(10, step), "f": lambda: number}
            back = travelled(value)
            if back["number"] != number or back["array"][0] != step or back["f"]() != number:
                wrong.append(back)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_an_unknown_format_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="'arrow'"):
        unpack("arrow", b"")


@pytest.mark.parametrize(
    ("array", "portable"),
    [
        (np.arange(6.0).reshape(2, 3), True),
        (np.zeros((0, 3), np.int8), True),
        (np.arange(100_000, dtype=np.uint8), True),
        (np.array(1.5), False),  # would come back as a scalar
        (np.arange(6.0).reshape(2, 3).T, False),  # its order would be lost
        (np.arange(10)[::2], False),
        (np.arange(3, dtype=">i4"), False),
        (np.array(["a"]), False),
        (np.array([1j]), False),
        (np.zeros(2, [("a", "i4")]), False),
        (np.ma.masked_array([1.0], [True]), False),
    ],
)
def test_plain_arrays_travel_in_the_form_that_all_languages_read_and_others_as_they_are(
    array: Any, portable: bool
) -> None:
    packed = pack(array)
    assert packed.format == ("msgpack" if portable else "pickle")
    back = unpack(packed.format, packed.head, packed.buffers)
    assert type(back) is type(array)
    assert back.dtype == array.dtype
    assert back.shape == array.shape
    assert back.flags.c_contiguous == array.flags.c_contiguous or array.ndim == 1
    assert repr(back) == repr(array)
