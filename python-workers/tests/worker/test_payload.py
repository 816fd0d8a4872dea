"""Values between processes of a gang: equal on the other side, large ones without a copy."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch")
numpy = pytest.importorskip("numpy")

from twinkle_worker.engines.vllm.payload import decode, encode  # noqa: E402


def through(value: Any) -> Any:
    return decode(bytearray(b"".join(encode(value))))


def test_plain_values_come_back_equal() -> None:
    value = ("execute_model", ({"a": [1, 2]}, None, "ä", b"x"), {}, (0, 3))
    assert through(value) == value


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.int64, torch.bool, torch.float8_e4m3fn])
@pytest.mark.parametrize("shape", [(0,), (3,), (300, 700), ()])
def test_tensors_keep_dtype_shape_and_bits(dtype: Any, shape: tuple[int, ...]) -> None:
    tensor = (torch.rand(shape) * 8).to(dtype)
    back = through([tensor, "after"])[0]
    assert (back.dtype, back.shape) == (dtype, tensor.shape)
    assert torch.equal(back.view(-1).view(torch.uint8), tensor.view(-1).view(torch.uint8))


def test_views_and_gradients_survive() -> None:
    whole = torch.arange(200_000.0)
    assert torch.equal(through(whole[::2]), whole[::2])
    assert torch.equal(through(whole.view(400, 500).T), whole.view(400, 500).T)
    leaf = torch.ones(3, requires_grad=True)
    assert through(leaf).requires_grad
    assert isinstance(through(torch.nn.Parameter(torch.ones(2))), torch.nn.Parameter)


def test_large_arrays_travel_beside_the_pickle_and_may_be_written() -> None:
    array = numpy.arange(1_000_000, dtype=numpy.int32)
    tensor = torch.arange(1_000_000)
    pieces = encode({"bitmask": array, "pixels": tensor, "small": numpy.zeros(4)})
    assert sum(len(piece) for piece in pieces if not isinstance(piece, memoryview) or piece.nbytes < 1 << 20) < 10_000
    body = bytearray(b"".join(pieces))
    back = decode(body)
    assert (back["bitmask"] == array).all()
    back["bitmask"][0] = 77
    back["pixels"][0] = 78
    back["small"][0] = 1
    again = decode(body)
    assert (int(again["bitmask"][0]), int(again["pixels"][0])) == (77, 78), "a copy was made"


def test_what_has_no_pickle_is_refused_by_the_sender() -> None:
    with pytest.raises(Exception, match="pickle"):
        encode(lambda: None)
