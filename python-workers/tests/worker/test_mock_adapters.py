"""Adapters of the mock engine: vLLM's two commands, and what requests make of what they loaded."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest
from mock_support import engine, request, run

from twinkle_worker.engines.adapter_routes import LOAD, UNLOAD
from twinkle_worker.engines.base import RequestError
from twinkle_worker.engines.mock import MockEngine
from twinkle_worker.protocol import GenerateParams, HttpParams, HttpPart, TokenDelta


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A PEFT folder, as far as the mock engine looks."""
    (tmp_path / "adapter_config.json").write_text('{"r": 8}')
    return tmp_path


def ask(made: MockEngine, path: str, **body: object) -> tuple[int, str]:
    """Status and text of a command's answer."""
    made.add_http(7, HttpParams("r", "POST", path, "", [], json.dumps(body)))
    (_, part), (_, end) = made.step()
    assert isinstance(part, HttpPart)
    assert (end, made.has_work()) == (None, False)
    return part.status or 0, part.body.decode()


def adapted(text: str, adapter: str) -> GenerateParams:
    return msgspec.structs.replace(request(text), adapter=adapter)


def test_loads_unloads_and_refuses_as_vllm_does(folder: Path) -> None:
    made = engine()
    sql = {"lora_name": "sql", "lora_path": str(folder)}
    assert ask(made, LOAD, **sql) == (200, "Success: LoRA adapter 'sql' added successfully.")
    status, text = ask(made, LOAD, **sql)
    assert (status, json.loads(text)["error"]["message"]) == (400, "The lora adapter 'sql' has already been loaded.")
    assert ask(made, LOAD, **sql, load_inplace=True)[0] == 200
    assert ask(made, UNLOAD, lora_name="sql")[0] == 200
    assert ask(made, UNLOAD, lora_name="sql")[0] == 404
    assert ask(made, LOAD, lora_name="sql")[0] == 400
    assert ask(made, LOAD, lora_path=str(folder))[0] == 400
    (folder / "adapter_config.json").unlink()
    status, text = ask(made, LOAD, **sql)
    assert status == 400
    assert "adapter_config.json" in json.loads(text)["error"]["message"]


def test_a_request_needs_its_adapter_and_its_words_are_those_of_the_weights(folder: Path) -> None:
    made = engine()
    with pytest.raises(RequestError) as refused:
        made.add(0, adapted("a", "sql"))
    assert (refused.value.code, refused.value.param) == ("MODEL_NOT_FOUND", "model")
    ask(made, LOAD, lora_name="sql", lora_path=str(folder))
    ask(made, LOAD, lora_name="same", lora_path=str(folder))
    base, sql, same = (texts[0] for texts in run(made, request("a"), adapted("a", "sql"), adapted("a", "same")))
    assert sql == same
    assert sql != base


def test_a_load_in_place_holds_for_requests_under_way_and_an_unload_does_not(folder: Path) -> None:
    made = engine()
    ask(made, LOAD, lora_name="sql", lora_path=str(folder))
    (old,) = run(made, adapted("a", "sql"))[0]
    made.add(0, adapted("a", "sql"))
    pieces = [item.text for _, item in made.step() if isinstance(item, TokenDelta)]
    (folder / "adapter_model.safetensors").write_bytes(b"other weights")
    made.add_http(
        7,
        HttpParams(
            "r", "POST", LOAD, "", [], json.dumps({"lora_name": "sql", "lora_path": str(folder), "load_inplace": True})
        ),
    )
    made.add_http(8, HttpParams("r", "POST", UNLOAD, "", [], json.dumps({"lora_name": "sql"})))
    while made.has_work():
        pieces += [item.text for _, item in made.step() if isinstance(item, TokenDelta)]
    ask(made, LOAD, lora_name="sql", lora_path=str(folder))
    (new,) = run(made, adapted("a", "sql"))[0]
    assert new != old
    assert "".join(pieces).split() == [old.split()[0], *new.split()[1:]]
