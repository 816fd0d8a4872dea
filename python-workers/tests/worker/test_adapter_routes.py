"""The two routes for adapters: what is understood, what is refused, and how answers look."""

from __future__ import annotations

import json
from typing import Any

import pytest

from twinkle_worker.engines.adapter_routes import (
    AdapterRefusal,
    LoadAdapter,
    UnloadAdapter,
    answer,
    not_loaded,
    parse_command,
    refusal,
)
from twinkle_worker.engines.base import RequestError
from twinkle_worker.protocol import HttpParams

LOAD, UNLOAD = "/v1/load_lora_adapter", "/v1/unload_lora_adapter"


def asked(path: str, body: Any, method: str = "POST") -> HttpParams:
    text = body if isinstance(body, str) else json.dumps(body)
    return HttpParams(request_id="r", method=method, path=path, query="", headers=[], body=text)


def test_commands_are_understood() -> None:
    load = {"lora_name": "a", "lora_path": "/adapters/a"}
    assert parse_command("mock", asked(LOAD, load)) == LoadAdapter("a", "/adapters/a", in_place=False, is_3d=False)
    everything = {**load, "load_inplace": True, "is_3d_lora_weight": True}
    assert parse_command("mock", asked(LOAD, everything)) == LoadAdapter("a", "/adapters/a", in_place=True, is_3d=True)
    assert parse_command("mock", asked(UNLOAD, {"lora_name": "a"})) == UnloadAdapter("a")


@pytest.mark.parametrize(
    ("path", "body", "told", "param"),
    [
        (LOAD, "{", "is not JSON", None),
        (LOAD, [], "expected an object with lora_name, lora_path", None),
        (LOAD, {"lora_name": "a"}, "a text for `lora_path` but received None", "lora_path"),
        (LOAD, {"lora_name": "", "lora_path": "p"}, "a text for `lora_name` but received ''", "lora_name"),
        (LOAD, {"lora_name": "a", "lora_path": "p", "load_inplace": 1}, "true or false", "load_inplace"),
        (LOAD, {"lora_name": "a", "lora_path": "p", "rank": 1}, "`rank` is no field", "rank"),
        (UNLOAD, {"lora_name": "a", "lora_path": "p"}, "`lora_path` is no field", "lora_path"),
        (UNLOAD, {"lora_name": 3}, "a text for `lora_name` but received 3", "lora_name"),
    ],
)
def test_bodies_that_are_refused(path: str, body: Any, told: str, param: str | None) -> None:
    with pytest.raises(AdapterRefusal, match=told) as refused:
        parse_command("mock", asked(path, body))
    assert (refused.value.param, refused.value.status) == (param, 400)


@pytest.mark.parametrize(("path", "method"), [("/v1/models", "POST"), (LOAD, "GET")])
def test_other_routes_are_unknown(path: str, method: str) -> None:
    with pytest.raises(RequestError, match=f"engine mock has no route {method} {path}") as refused:
        parse_command("mock", asked(path, "", method))
    assert refused.value.code == "ROUTE_NOT_FOUND"


def test_answers() -> None:
    done = answer(UnloadAdapter("a"))
    assert (done.status, done.body) == (200, b"Success: LoRA adapter 'a' removed successfully.")
    part = refusal(not_loaded("a"))
    assert part.status == 404
    assert json.loads(part.body)["error"] == {
        "message": "the LoRA adapter `a` is not loaded",
        "type": "NotFoundError",
        "param": "lora_name",
        "code": 404,
    }
