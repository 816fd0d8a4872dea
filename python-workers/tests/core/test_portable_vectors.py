"""The portable form as fixed bytes, which Node's tests read as well: neither side changes it alone."""

from __future__ import annotations

import base64
from typing import Any

import msgspec
import numpy as np
import pytest
from portable_vectors import CARD, VALUES, Stand, packed, text, vectors

from twinkle_node.core.value import unpack

VECTORS = {vector["name"]: vector for vector in vectors()}


def load(payload: tuple[Any, ...]) -> Any:
    return Stand(*payload) if payload[0] == "ref" else Stand("actor", "9.1", payload[2])


def same(one: Any, other: Any) -> bool:
    if type(one) is not type(other):
        return False
    if isinstance(one, np.ndarray):
        return one.dtype == other.dtype and one.shape == other.shape and bool(np.array_equal(one, other))
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(item, other[key]) for key, item in one.items())
    if isinstance(one, Stand):
        if one.payload[0] == "ref":
            return one == other
        return msgspec.msgpack.decode(one.payload[2]) == msgspec.msgpack.decode(other.payload[2])
    return (one == other and repr(one) == repr(other)) or repr(one) == repr(other) == "nan"


def read(format: str, parts: list[str]) -> Any:
    head, *buffers = (base64.b64decode(part) for part in parts)
    return unpack(format, head, [memoryview(buffer) for buffer in buffers], load)


def test_every_value_has_its_vector() -> None:
    assert list(VECTORS) == list(VALUES)
    assert msgspec.msgpack.decode(CARD) == {"id": "9.1", "cls_name": "Counter", "methods": {}}


@pytest.mark.parametrize("name", VALUES)
def test_python_packs_the_same_bytes_as_ever(name: str) -> None:
    made = packed(VALUES[name])
    assert made.format == VECTORS[name]["format"]
    assert [text(part) for part in (made.head, *made.buffers)] == VECTORS[name]["python"]


@pytest.mark.parametrize("name", VALUES)
@pytest.mark.parametrize("side", ["python", "node"])
def test_python_reads_what_either_side_packs(name: str, side: str) -> None:
    assert same(read(VECTORS[name]["format"], VECTORS[name][side]), VALUES[name])
