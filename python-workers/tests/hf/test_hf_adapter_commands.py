"""Loading and unloading adapters: every refusal, commands in order, and decoding that goes on while files are read."""

from __future__ import annotations

import json
import os
import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from adapter_support import ATTENTION, ask, change_files, command, load_adapter, refusal_of_load, save_adapter
from hf_support import Outcome, finish, generate, request, some_tokens, take

from twinkle_worker.beat import Pulse
from twinkle_worker.engines.base import Engine, LoopGuest, RequestError
from twinkle_worker.engines.hf import model_lora
from twinkle_worker.engines.hf.adapter_files import read_adapter
from twinkle_worker.engines.hf.engine import HfEngine
from twinkle_worker.engines.hf.lora_layer import LoraLinear
from twinkle_worker.protocol import HttpPart

Load = Callable[..., Engine]
Reference = Callable[[str], Any]
QUERY = "layers.0.self_attn.q_proj.lora_"


@pytest.fixture
def folder(reference: Reference, tmp_path: Path) -> Path:
    """A good adapter of rank 4 for attention and head of the model qwen3."""
    save_adapter(reference("qwen3"), tmp_path / "a", targets=[*ATTENTION, "lm_head"])
    return tmp_path / "a"


@pytest.mark.parametrize(
    ("config", "tensors", "told"),
    [
        ({"peft_type": "LOHA"}, {}, "peft_type LORA but received 'LOHA'"),
        ({"use_dora": True}, {}, "has DoRA .`use_dora`.*merge it"),
        ({"bias": "lora_only"}, {}, "bias 'lora_only'; train it with bias none"),
        ({"modules_to_save": ["embed_tokens"]}, {}, "whole modules.*merge it"),
        ({"init_lora_weights": "pissa"}, {}, "path_initial_model_for_weight_conversion"),
        ({"r": 0}, {}, "at least 1 for `r`"),
        ({"lora_alpha": "16"}, {}, "a number for `lora_alpha`"),
        ({"rank_pattern": {"layers.(0|1).q_proj": 2}}, {}, "name each layer"),
        ({"r": 8}, {}, r"the shape \[8, 48\] for .*lora_A.weight but received \[4, 48\]"),
        ({}, {f"{QUERY}A.weight": torch.zeros(4, 50)}, r"the shape \[4, 48\] .* another model"),
        ({}, {f"{QUERY}B.weight": None}, f"lacks model.{QUERY}B.weight"),
        ({}, {f"{QUERY}A.weight": torch.full((4, 48), torch.nan)}, "not finite in torch.float32"),
        ({}, {f"{QUERY}B.weight": torch.full((64, 4), torch.inf)}, "not finite in torch.float32"),
        ({}, {f"{QUERY}A.weight": torch.zeros(4, 48, dtype=torch.int8)}, "floating point"),
        (
            {},
            {"base_model.model.model.layers.7.mlp.up_proj.lora_A.weight": torch.zeros(4, 48)},
            "is no layer of this model",
        ),
        (
            {},
            {"base_model.model.model.embed_tokens.lora_A.weight": torch.zeros(4, 48)},
            "is a Embedding, no linear layer",
        ),
        ({}, {"base_model.model.model.embed_tokens.lora_embedding_A": torch.zeros(4, 9)}, "no LoRA of a linear layer"),
        ({}, {"base_model.model.lm_head.base_layer.weight": torch.zeros(384, 48)}, "the adapter changes"),
        ({}, {"base_model.model.lm_head.base_layer.weight": torch.zeros(385, 48)}, "the adapter changes"),
    ],
)
def test_files_that_are_refused(load: Load, folder: Path, config: Any, tensors: Any, told: str) -> None:
    engine = load()
    change_files(folder, tensors, **config)
    assert re.search(told, refusal_of_load(engine, folder))
    with pytest.raises(RequestError, match="does not exist"):
        engine.add(1, request(some_tokens(4, 1), adapter="new"))
    assert not engine.has_work()


def test_folders_that_are_refused(load: Load, folder: Path, tmp_path: Path) -> None:
    engine = load()
    assert "there is no folder nobody/adapter; name one" in refusal_of_load(engine, "nobody/adapter")
    assert "is no folder" in refusal_of_load(engine, folder / "adapter_config.json")
    assert "lacks adapter_config.json" in refusal_of_load(engine, tmp_path)
    weights = folder / "adapter_model.safetensors"
    weights.rename(folder / "adapter_model.bin")
    assert "is a pickle, which is not read" in refusal_of_load(engine, folder)
    weights.write_bytes(b"\x40")
    assert "cannot be read" in refusal_of_load(engine, folder)
    (folder / "adapter_config.json").write_text("{")
    assert "adapter_config.json is not JSON" in refusal_of_load(engine, folder)


def test_layers_that_mix_rows_are_refused(load: Load, reference: Reference, tmp_path: Path) -> None:
    """OPT's feed-forward layers see one heap of tokens."""
    save_adapter(reference("opt"), tmp_path / "a", targets=["fc1"])
    assert "fc1, which sees the rows of a batch in one heap; merge" in refusal_of_load(load("opt"), tmp_path / "a")


def test_layers_that_cannot_be_changed_are_refused(load: Load, folder: Path) -> None:
    """One that is never called, as fused code leaves them, and one that stands in two places."""
    engine = load()
    model = engine.loaded._parts.lora._model  # type: ignore[attr-defined]
    model.spare = torch.nn.Linear(48, 64)
    model.model.layers[1].self_attn.q_proj = model.model.layers[0].self_attn.q_proj
    assert "q_proj, which stands in several places" in refusal_of_load(engine, folder)
    names = [f"{layer}.self_attn.{word}_proj" for layer in ("layers.0", "layers.1") for word in "qkvo"]
    gone = {f"{name}.lora_{half}.weight": None for name in names for half in "AB"}
    spare = {
        f"base_model.model.spare.lora_{half}.weight": torch.zeros(size)
        for half, size in zip("AB", ((4, 48), (64, 4)), strict=True)
    }
    change_files(folder, {**gone, **spare})
    assert "spare, which this model does not call as a layer" in refusal_of_load(engine, folder)


def test_commands_that_are_refused(load: Load, folder: Path) -> None:
    engine = load()
    load_adapter(engine, "a", folder)
    assert "`a` is loaded already; unload it first" in refusal_of_load(engine, folder, lora_name="a")
    assert "`lora_path`" in refusal_of_load(engine, "")
    assert "is_3d_lora_weight is for fused experts" in refusal_of_load(engine, folder, is_3d_lora_weight=True)
    status, text = ask(engine, "/v1/unload_lora_adapter", {"lora_name": "b"})
    error = json.loads(text)["error"]
    assert (status, error["type"], error["param"]) == (404, "NotFoundError", "lora_name")
    with pytest.raises(RequestError, match="no route POST /v1/models"):
        engine.add_http(3, command("/v1/models", {}))
    assert len(generate(engine, request(some_tokens(4, 1), adapter="a"))) == 1


def test_commands_are_done_in_order(load: Load, folder: Path) -> None:
    """All at once: a later one finds what an earlier one did, though files are read beside."""
    engine = load()
    body = {"lora_name": "a", "lora_path": str(folder)}
    bodies = [
        ("load", body),
        ("load", body),
        ("unload", {"lora_name": "a"}),
        ("unload", {"lora_name": "a"}),
        ("load", body),
    ]
    for stream, (verb, content) in enumerate(bodies):
        engine.add_http(stream, command(f"/v1/{verb}_lora_adapter", content))
    engine.add_http(9, command("/v1/load_lora_adapter", "[]"))
    said: list[tuple[int, int | None]] = []
    while engine.has_work():
        said += [(stream, item.status) for stream, item in engine.step() if isinstance(item, HttpPart)]
    assert said == [(0, 200), (1, 400), (2, 200), (3, 404), (4, 200), (9, 400)]


class Gate:
    """Holds the reading of files up until it is opened."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.begun, self._open = threading.Event(), threading.Event()
        monkeypatch.setattr(model_lora, "read_adapter", self._read)

    def _read(self, *args: Any) -> Any:
        self.begun.set()
        assert self._open.wait(30)
        return read_adapter(*args)

    def open(self) -> None:
        self._open.set()


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Gate:
    return Gate(monkeypatch)


def test_decoding_goes_on_while_files_are_read(load: Load, folder: Path, gate: Gate) -> None:
    engine = load()
    expected = generate(engine, request(some_tokens(8, 1), max_tokens=30))
    outcomes: dict[int, Outcome] = {}
    engine.add_http(5, command("/v1/load_lora_adapter", {"lora_name": "a", "lora_path": str(folder)}))
    engine.add(1, request(some_tokens(8, 1), max_tokens=30))
    for _ in range(30):
        take(outcomes, engine.step())
    assert [outcomes[1]] == expected
    with pytest.raises(RequestError, match="does not exist"):
        engine.add(2, request(some_tokens(8, 1), adapter="a"))
    gate.open()
    while engine.has_work():
        list(engine.step())
    assert generate(engine, request(some_tokens(8, 1), adapter="a", max_tokens=30)) != expected


def test_an_idle_engine_waits_for_files_or_for_node(load: Load, folder: Path, gate: Gate) -> None:
    """Without anything to decode a step blocks, and ends when a frame may have come."""
    engine = load()
    assert isinstance(engine, LoopGuest)
    readable, writable = os.pipe()
    pulse = Pulse()
    engine.attach(readable, pulse)
    engine.add_http(5, command("/v1/load_lora_adapter", {"lora_name": "a", "lora_path": str(folder)}))
    steps: list[Any] = []
    ended = threading.Event()

    def step() -> None:
        steps.append(list(engine.step()))
        ended.set()

    thread = threading.Thread(target=step)
    thread.start()
    assert gate.begun.wait(30)
    assert not ended.wait(0.05)
    assert pulse.phase == "idle"
    os.write(writable, b".")
    thread.join(30)
    assert steps == [[]]
    gate.open()
    os.read(readable, 1)
    while engine.has_work():
        steps.append(list(engine.step()))
    assert len(steps) <= 3, "it did not block"
    assert [stream for stream, _ in steps[-1]] == [5, 5]
    os.close(readable)
    os.close(writable)


def test_a_command_that_nobody_waits_for_is_not_done(load: Load, folder: Path, gate: Gate) -> None:
    engine = load()
    engine.add_http(5, command("/v1/load_lora_adapter", {"lora_name": "a", "lora_path": str(folder)}))
    engine.add(1, request(some_tokens(8, 1), max_tokens=2))
    list(engine.step())
    assert gate.begun.wait(30)
    engine.abort(5)
    gate.open()
    finish(engine)
    with pytest.raises(RequestError, match="does not exist"):
        engine.add(2, request(some_tokens(8, 1), adapter="a"))
    load_adapter(engine, "a", folder)


def test_the_model_stays_as_it_is_until_an_adapter_comes(load: Load, folder: Path) -> None:
    """Then layers are replaced that it has LoRA for, and no others."""
    engine = load()
    assert isinstance(engine, HfEngine)
    model = engine.loaded._parts.lora._model

    def replaced() -> set[str]:
        return {name.rpartition(".")[2] for name, module in model.named_modules() if isinstance(module, LoraLinear)}

    assert replaced() == set()
    load_adapter(engine, "a", folder)
    assert replaced() == {*ATTENTION, "lm_head"}
    assert engine.loaded.card.adapters
