"""What may replace a model's tensors, by their headers alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from twinkle_worker.engines.base import RequestError
from twinkle_worker.engines.vllm.weight_specs import TensorSpec, check_config, check_specs, file_specs, handle_specs
from twinkle_worker.protocol import TensorHandle

MODEL = {
    "model.embed_tokens.weight": TensorSpec("bfloat16", (8, 4)),
    "model.norm.weight": TensorSpec("bfloat16", (4,)),
    "model.scale": TensorSpec("int8", ()),
}
HEAD = {"lm_head.weight": TensorSpec("bfloat16", (8, 4))}


def refusal(given: dict[str, TensorSpec], expected: dict[str, TensorSpec] = MODEL, tied: bool = False) -> RequestError:
    with pytest.raises(RequestError) as caught:
        check_specs(expected, given, tied)
    assert caught.value.code == "INVALID_REQUEST"
    return caught.value


def test_the_same_tensors_fit_in_any_floating_precision() -> None:
    check_specs(MODEL, MODEL, tied=False)
    check_specs(MODEL, {**MODEL, "model.norm.weight": TensorSpec("float32", (4,))}, tied=False)
    error = refusal({**MODEL, "model.scale": TensorSpec("float32", ())})
    assert str(error) == "expected int8[] for tensor `model.scale` but received float32[]"
    assert error.param == "model.scale"
    assert "int8[4]" in str(refusal({**MODEL, "model.norm.weight": TensorSpec("int8", (4,))}))


def test_a_shape_that_differs_is_named_though_the_count_agrees() -> None:
    error = refusal({**MODEL, "model.embed_tokens.weight": TensorSpec("bfloat16", (4, 8))})
    assert str(error) == "expected bfloat16[8, 4] for tensor `model.embed_tokens.weight` but received bfloat16[4, 8]"


def test_an_update_has_all_tensors_and_no_others() -> None:
    assert "is none of the model's" in str(refusal({**MODEL, "model.bias": TensorSpec("bfloat16", (4,))}))
    some = {"model.embed_tokens.weight": MODEL["model.embed_tokens.weight"]}
    assert str(refusal(some)).startswith("tensor `model.norm.weight` and 1 more is missing: an update has all 3")
    assert refusal({}).param == "model.embed_tokens.weight"


def test_a_tied_output_layer_may_be_there_once_or_twice() -> None:
    check_specs(MODEL, {**MODEL, **HEAD}, tied=True)
    check_specs({**MODEL, **HEAD}, MODEL, tied=True)
    assert refusal({**MODEL, **HEAD}).param == "lm_head.weight"
    assert refusal(MODEL, {**MODEL, **HEAD}).param == "lm_head.weight"


def test_what_every_loader_computes_may_be_left_out_and_given() -> None:
    computed = {"model.layers.0.self_attn.rotary_emb.inv_freq": TensorSpec("float32", (2,))}
    check_specs(MODEL, {**MODEL, **computed}, tied=False)
    check_specs({**MODEL, **computed}, MODEL, tied=False)


def test_a_tensor_that_comes_twice_is_refused() -> None:
    handle = TensorHandle("s", 0, "bfloat16", [4])
    assert handle_specs([("a", handle)]) == {"a": TensorSpec("bfloat16", (4,))}
    with pytest.raises(RequestError, match="`a` is given twice"):
        handle_specs([("a", handle), ("a", handle)])


def write(path: Path, entries: dict[str, object], data: bytes) -> str:
    header = json.dumps(entries).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header + data)
    return str(path)


def test_headers_are_read_from_several_files(tmp_path: Path) -> None:
    one = {"__metadata__": {"format": "pt"}, "a": {"dtype": "BF16", "shape": [2, 3], "data_offsets": [0, 12]}}
    two = {"b": {"dtype": "F8_E4M3", "shape": [4], "data_offsets": [0, 4]}}
    paths = [write(tmp_path / "1", one, b"0" * 12), write(tmp_path / "2", two, b"0" * 4)]
    assert file_specs(paths) == {"a": TensorSpec("bfloat16", (2, 3)), "b": TensorSpec("float8_e4m3fn", (4,))}


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff" * 64, (2).to_bytes(8, "little") + b"[]"])
def test_what_is_no_safetensors_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(RequestError, match="no complete safetensors file"):
        file_specs([str(tmp_path / "x")])


def test_a_file_that_is_cut_short_is_refused(tmp_path: Path) -> None:
    entries: dict[str, object] = {"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}
    with pytest.raises(RequestError, match=r"it is not \d+ bytes long"):
        file_specs([write(tmp_path / "x", entries, b"0" * 7)])


def test_a_config_of_another_model_is_refused(tmp_path: Path) -> None:
    check_config(str(tmp_path), {"hidden_size": 4})
    (tmp_path / "config.json").write_text('{"hidden_size": 4, "dtype": "float32"}')
    check_config(str(tmp_path), {"hidden_size": 4, "dtype": "bfloat16"})
    with pytest.raises(RequestError, match=r"expected `hidden_size` 8 .* but found 4") as caught:
        check_config(str(tmp_path), {"hidden_size": 8})
    assert caught.value.param == "hidden_size"
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(RequestError, match="cannot be read"):
        check_config(str(tmp_path), {"hidden_size": 8})
