"""Adapters through vLLM's own routes: named at the start, loaded and unloaded while it runs, and the same on the hot path."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from lora_support import write_adapter
from vllm_http import Client
from vllm_support import MODEL, loaded
from weights_support import checkpoint, noisy

from twinkle_worker.engines.base import LoadError, RequestError

PROMPT = "The sun"
RANK = 4


@pytest.fixture(scope="module")
def adapters(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("adapters")
    return {
        "first": write_adapter(MODEL, folder / "first", 1, RANK),
        "second": write_adapter(MODEL, folder / "second", 2, RANK),
        "wide": write_adapter(MODEL, folder / "wide", 3, 32),
    }


@pytest.fixture(scope="module")
def client(adapters: dict[str, str]) -> Iterator[Client]:
    engine = loaded(enable_lora=True, max_lora_rank=8, max_loras=2, lora_modules=[f"first={adapters['first']}"])
    yield Client(engine)
    engine.close()


def relayed(client: Client, model: str) -> str:
    body = {"model": model, "prompt": PROMPT, "temperature": 0, "max_tokens": 12, "ignore_eos": True}
    return client.post("/v1/completions", body).json["choices"][0]["text"]


def hot(client: Client, adapter: str | None) -> str:
    return client.finish(client.generate(PROMPT, 12, ignore_eos=True, adapter=adapter)[1]).text


def names(client: Client) -> list[str]:
    return [model["id"] for model in client.get("/v1/models").json["data"]]


def test_an_adapter_named_at_the_start_answers_on_both_paths(client: Client) -> None:
    assert names(client) == ["demo", "first"]
    base, first = hot(client, None), hot(client, "first")
    assert base != first
    assert relayed(client, "demo") == base
    assert relayed(client, "first") == first


def test_another_comes_and_goes(client: Client, adapters: dict[str, str]) -> None:
    with pytest.raises(RequestError, match="second"):
        client.generate(PROMPT, 12, adapter="second")
    added = client.post("/v1/load_lora_adapter", {"lora_name": "second", "lora_path": adapters["second"]})
    assert added.status == 200, added.body
    assert names(client) == ["demo", "first", "second"]
    second = relayed(client, "second")
    assert second == hot(client, "second")
    assert len({second, hot(client, "first"), hot(client, None)}) == 3
    assert client.post("/v1/unload_lora_adapter", {"lora_name": "second"}).status == 200
    assert names(client) == ["demo", "first"]
    assert client.post("/v1/completions", {"model": "second", "prompt": PROMPT}).status == 404


def test_requests_without_an_adapter_get_none_beside_others(client: Client, adapters: dict[str, str]) -> None:
    # The last place for adapters must not be empty: it is the one that would be taken for none.
    added = client.post("/v1/load_lora_adapter", {"lora_name": "second", "lora_path": adapters["second"]})
    assert added.status == 200, added.body
    names = (None, "first", None, "second")
    alone = [hot(client, name) for name in names]
    together = [client.generate(PROMPT, 12, ignore_eos=True, adapter=name)[1] for name in names]
    assert [client.finish(one).text for one in together] == alone
    assert client.post("/v1/unload_lora_adapter", {"lora_name": "second"}).status == 200


def test_new_weights_of_the_model_lie_under_its_adapters(client: Client, tmp_path: Path) -> None:
    base, first = hot(client, None), hot(client, "first")
    added = client.post(
        "/v1/load_lora_adapter", {"lora_name": "third", "lora_path": write_adapter(MODEL, tmp_path / "third", 3, RANK)}
    )
    assert added.status == 200, added.body
    update = "/twinkle/update_weights"
    assert client.post(update, {"path": checkpoint(tmp_path / "noisy", noisy(1, scale=1.0))}).status == 200
    assert len({base, first, hot(client, None), hot(client, "first")}) == 4
    (tmp_path / "third").rename(tmp_path / "elsewhere")
    refused = client.post(update, {})
    assert refused.status == 400
    assert "adapter `third` are gone" in refused.json["error"]["message"]
    assert client.post("/v1/unload_lora_adapter", {"lora_name": "third"}).status == 200
    assert client.post(update, {}).status == 200
    assert (hot(client, None), hot(client, "first")) == (base, first)


def test_a_wrong_adapter_is_refused_in_vllms_words(client: Client, adapters: dict[str, str]) -> None:
    wide = client.post("/v1/load_lora_adapter", {"lora_name": "wide", "lora_path": adapters["wide"]})
    assert wide.status >= 400
    assert "rank 32" in wide.json["error"]["message"]
    gone = client.post("/v1/load_lora_adapter", {"lora_name": "gone", "lora_path": "/nowhere/at/all"})
    assert gone.status == 404
    twice = client.post("/v1/load_lora_adapter", {"lora_name": "first", "lora_path": adapters["first"]})
    assert twice.status == 400
    assert names(client) == ["demo", "first"]


def test_a_start_with_a_wrong_adapter_says_so(adapters: dict[str, str]) -> None:
    with pytest.raises(LoadError, match="rank 32"):
        loaded(enable_lora=True, max_lora_rank=8, lora_modules=[f"wide={adapters['wide']}"])
