"""What a slot has, and how it travels."""

from __future__ import annotations

import pytest

from twinkle_node.core.protocol import Value
from twinkle_node.core.stored import Stored, cut, error_value, sizes_of
from twinkle_node.core.value import pack
from twinkle_node.errors import GetTimeoutError, TwinkleError


def test_a_value_is_cut_into_its_parts_from_where_it_begins() -> None:
    assert [bytes(part) for part in cut([2, 0, 3], b"xxabcdeyy", 2)] == [b"ab", b"", b"cde"]


def test_sizes_are_of_the_head_and_each_buffer() -> None:
    assert sizes_of(pack(b"abc")) == [3]


def test_an_error_travels_as_its_value_wherever_it_was_raised() -> None:
    value, parts = Stored(None, error=GetTimeoutError("too late")).travelling()
    again = Stored(value, b"".join(bytes(part) for part in parts))
    assert again.failed
    assert isinstance(again.exception(), GetTimeoutError)
    assert again.travelling() == (value, [again.body])


def test_what_lies_with_the_node_travels_without_bytes() -> None:
    value = Value("raw", [5000], "1.1", [])
    assert Stored(value).travelling() == (value, [])
    assert not Stored(value).failed


def test_an_exception_that_is_raised_twice_does_not_collect_tracebacks() -> None:
    stored = Stored(None, error=TwinkleError("USAGE", "no"))
    depths = []
    for _ in range(3):
        with pytest.raises(TwinkleError) as raised:
            raise stored.exception()
        depths.append(len(raised.traceback))
    assert len(set(depths)) == 1


def test_a_slot_without_anything_travels_as_an_error() -> None:
    value, _ = Stored(None).travelling()
    assert value.f == "error"
    assert error_value(ValueError("x"), "here")[0].at == ""
