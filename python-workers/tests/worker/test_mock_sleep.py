"""The mock engine asleep: it answers its routes, computes nothing, and ends where vLLM's memory would be missing."""

from __future__ import annotations

import json

import msgspec
import pytest
from mock_support import LAUNCH, request

from twinkle_worker.engines.mock import MockEngine
from twinkle_worker.protocol import GenerateEnd, HttpParams, HttpPart, LoadParams


def made(sleep_ms: float | None) -> MockEngine:
    engine = MockEngine(LAUNCH)
    engine.load(LoadParams(model="m", options={} if sleep_ms is None else {"sleep_ms": sleep_ms}), lambda *_: None)
    return engine


def post(engine: MockEngine, path: str, stream: int = 7) -> object:
    engine.add_http(stream, HttpParams("r", "POST", path, "level=1&mode=keep", [], ""))
    parts = [part for of, part in engine.step() if of == stream and isinstance(part, HttpPart)]
    return json.loads(parts[0].body)


def test_what_runs_goes_on_after_it() -> None:
    engine = made(0)
    engine.add(1, msgspec.structs.replace(request("go")))
    engine.step()
    assert post(engine, "/sleep") == {"status": "sleeping"}
    assert not engine.has_work()
    assert post(engine, "/is_sleeping") == {"is_sleeping": True}
    assert list(engine.step()) == []
    assert post(engine, "/wake_up", 8) == {"status": "awake"}
    assert engine.has_work()
    items = [item for _ in range(20) for _, item in engine.step()]
    assert isinstance(items[-1], GenerateEnd)
    assert items[-1].completion_tokens == 8


def test_an_adapter_ends_it() -> None:
    engine = made(0)
    post(engine, "/sleep")
    with pytest.raises(RuntimeError, match="/v1/load_lora_adapter while asleep"):
        post(engine, "/v1/load_lora_adapter")


def test_it_has_the_routes_only_where_it_can_sleep() -> None:
    assert "/sleep" in made(0)._sleep.routes
    assert made(None)._sleep.routes == []
