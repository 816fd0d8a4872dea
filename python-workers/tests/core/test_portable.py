"""The portable form: what goes through, and how the rest is refused."""

from __future__ import annotations

import sys
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twinkle_node.core.pickler import reference_class
from twinkle_node.core.portable import ARRAY_EXTENSION, DTYPES, PortableArray, decode_portable, encode_portable
from twinkle_node.core.value import pack, unpack
from twinkle_node.errors import SerializationError

scalars = (
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text() | st.binary()
)
values = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20)


def refused(value: Any) -> SerializationError:
    with pytest.raises(SerializationError) as caught:
        pack(value, portable=True)
    return caught.value


@given(values)
@settings(deadline=None)
def test_what_is_portable_comes_back_equal(value: Any) -> None:
    packed = pack(value, portable=True)
    assert packed.format == ("raw" if type(value) is bytes else "msgpack")
    back = unpack(packed.format, packed.head)
    assert back == value
    assert repr(back) == repr(value)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(0,), (3,), (2, 3), (2, 0, 3), (3, 400)])
def test_arrays_come_back_read_only_and_large_ones_without_a_copy(dtype: str, shape: tuple[int, ...]) -> None:
    array = np.arange(np.prod(shape)).astype(dtype).reshape(shape)
    packed = pack([array], portable=True)
    (back,) = unpack(packed.format, packed.head, packed.buffers)
    assert back.dtype == array.dtype
    assert back.shape == shape
    assert np.array_equal(back, array)
    assert not back.flags.writeable
    large = array.nbytes > 512
    assert len(packed.buffers) == large
    assert np.shares_memory(back, array) == large  # its buffer is the array's own memory
    if not large:  # what it came in may go
        assert not np.shares_memory(back, np.frombuffer(packed.head, np.uint8))


def test_an_array_that_names_a_buffer_that_is_not_there_is_refused() -> None:
    packed = pack([np.zeros(1000)], portable=True)
    with pytest.raises(ValueError, match="expected a buffer of 0"):
        unpack(packed.format, packed.head)


@reference_class
class Reference:
    """Stands for an ObjectRef, or an actor's handle."""

    def __init__(self, *payload: Any) -> None:
        self.payload = payload


def test_references_travel_as_what_their_hook_says_and_are_loaded_again() -> None:
    value = {"refs": [Reference("ref", "1.2"), Reference("ref", "é")], "actor": Reference("actor", "7", b"card")}
    packed = pack(value, portable=True, ref_hook=lambda one: one.payload)
    back = unpack(packed.format, packed.head, packed.buffers, lambda payload: payload)
    assert back == {"refs": [("ref", "1.2"), ("ref", "é")], "actor": ("actor", "", b"card")}
    with pytest.raises(SerializationError, match=r"value\.refs\[0\]"):
        pack(value, portable=True)
    with pytest.raises(ValueError, match="send plain values"):
        unpack(packed.format, packed.head)


def test_what_stands_among_arguments_for_references_is_loaded() -> None:
    stands = [msgspec.msgpack.Ext(49, b"\x01\x02"), msgspec.msgpack.Ext(52, b"3.4")]
    loaded = decode_portable(msgspec.msgpack.encode(stands), (), lambda payload: payload)
    assert loaded == [("given", 258), ("late", "3.4")]


@pytest.mark.parametrize(
    "array",
    [np.arange(12).reshape(3, 4).T, np.arange(9)[::2], np.arange(3, dtype=">i4"), np.arange(6).reshape(2, 3)[:, ::-1]],
)
def test_arrays_of_any_layout_and_byte_order_come_back_equal(array: Any) -> None:
    assert np.array_equal(decode_portable(encode_portable(array)), array)


@pytest.mark.parametrize("value", [np.float64(1.5), np.float32(0.5), np.int8(-3), np.bool_(True), np.uint64(2**64 - 1)])
def test_scalars_of_numpy_keep_their_type(value: Any) -> None:
    back = decode_portable(encode_portable(value))
    assert back == value
    assert type(back) is type(value)


def test_an_array_is_one_extension_of_dtype_shape_and_data() -> None:
    plain = msgspec.msgpack.decode(encode_portable(np.array([[1, 2]], dtype="<i2")))
    assert plain.code == ARRAY_EXTENSION
    assert msgspec.msgpack.decode(plain.data) == {"dtype": "<i2", "shape": [1, 2], "data": b"\x01\x00\x02\x00"}


def test_without_numpy_an_array_is_a_view_and_can_be_sent_on(monkeypatch: pytest.MonkeyPatch) -> None:
    sent = encode_portable([np.array([[1.5, 2.5]])])
    monkeypatch.setitem(sys.modules, "numpy", None)
    (array,) = decode_portable(sent)
    assert isinstance(array, PortableArray)
    assert (array.dtype, array.shape, list(array.data)) == ("<f8", (1, 2), [1.5, 2.5])
    assert array.data.readonly
    assert encode_portable([array]) == sent


class Config:
    pass


@pytest.mark.parametrize(
    ("value", "path", "kind"),
    [
        ([1, 2, {"config": Config()}], "value[2].config", f"{__name__}.Config"),
        ({"a b": [(1, 2)]}, "value['a b'][0]", "tuple"),
        ({"a": {1: 2}}, "value.a", "int"),
        ([{"x": {1, 2}}], "value[0].x", "set"),
        ([bytearray(b"a")], "value[0]", "bytearray"),
        ([np.zeros(2, complex)], "value[0]", "numpy complex128"),
        ([np.array(["a"])], "value[0]", "numpy <U1"),
        ([np.array([None])], "value[0]", "numpy object"),
        (np.datetime64(1, "s"), "value", "numpy datetime64[s]"),
        ([np.ma.array([1])], "value[0]", "numpy.ma.MaskedArray"),
        (Config, "value", "type"),
        ([0, 2**64], "value[1]", "int"),
        (2**64, "value", "int"),
        ({"k": ["ok", "\ud800"]}, "value.k[1]", "str"),
        ({"\ud800": 1}, "value['\\ud800']", "str"),
        ("\ud800", "value", "str"),
    ],
)
def test_the_rest_is_refused_with_its_path_and_type(value: Any, path: str, kind: str) -> None:
    error = refused(value)
    assert error.path == path
    assert error.type_name == kind or (kind.startswith("numpy.ma") and error.type_name.startswith("numpy.ma"))
    assert f"`{path}`" in str(error)
    assert error.code == "SERIALIZATION"


def test_a_list_that_holds_itself_is_refused() -> None:
    loop: list[Any] = []
    loop.append(loop)
    assert "holds itself" in str(refused(loop))


def test_an_extension_that_nobody_knows_is_refused() -> None:
    with pytest.raises(ValueError, match="extension"):
        decode_portable(msgspec.msgpack.encode(msgspec.msgpack.Ext(5, b"")))
    strange = msgspec.msgpack.encode({"dtype": "|O", "shape": [1], "data": b"12345678"})
    with pytest.raises(ValueError, match="dtype"):
        decode_portable(msgspec.msgpack.encode(msgspec.msgpack.Ext(ARRAY_EXTENSION, strange)))
