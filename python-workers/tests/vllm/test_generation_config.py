"""A model's generation_config.json: what is generated the short way agrees with vLLM's own routes where a request says nothing."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from vllm_http import Client
from vllm_support import MODEL, loaded, prompt, sampling

from twinkle_worker.engines.base import LoadError
from twinkle_worker.engines.vllm.model_defaults import model_defaults
from twinkle_worker.engines.vllm.options import parse_arguments
from twinkle_worker.protocol import GenerateEnd, GenerateParams, ModelCard, Prompt, TokenDelta

VALUES = {"temperature": 0.8, "top_k": 7, "top_p": 0.95, "repetition_penalty": 1.4, "max_new_tokens": 24}
CONTEXT = 256
ASK = [{"role": "user", "content": "Tell me a story."}]
TEXT = "The capital of France"


def with_config(folder: Path, **values: Any) -> str:
    """A copy of the demo model that wants this."""
    shutil.copytree(MODEL, folder)
    path = folder / "generation_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))
    return str(folder)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return with_config(tmp_path_factory.mktemp("config") / "model", **VALUES)


@pytest.fixture(scope="module")
def client(folder: str) -> Iterator[Client]:
    told = {"response_role": "poet", "fingerprint_mode": "custom", "fingerprint_value": "mine"}
    engine = loaded(folder, max_model_len=CONTEXT, max_num_seqs=4, **told)
    yield Client(engine)
    engine.close()


def card(client: Client) -> ModelCard:
    engine: Any = client.engine
    return engine.loaded.card


class Hot:
    """Requests of the hot path with the defaults of the card, as the gateway puts them in."""

    def __init__(self, client: Client, neutral: bool = False) -> None:
        self._engine: Any = client.engine
        values = msgspec.to_builtins(card(client).sampling_defaults)
        self._max_tokens = values.pop("max_tokens")
        del values["max_tokens_limit"]
        self._values = {} if neutral else values
        self._stream = 5000

    def tokens(self, asked: Prompt, max_tokens: int | None, **changes: Any) -> list[int]:
        more = {} if max_tokens is not None else {"default_max_tokens": self._max_tokens}
        wanted = sampling(
            **{"temperature": 1.0, **self._values, "max_tokens": max_tokens, "seed": 5, **more, **changes}
        )
        self._stream += 1
        self._engine.add(self._stream, GenerateParams(f"own-{self._stream}", asked, wanted, 1, False))
        found: list[int] = []
        while True:
            for stream, item in self._engine.step():
                if stream == self._stream and isinstance(item, TokenDelta):
                    found += item.token_ids
                elif stream == self._stream:
                    assert isinstance(item, GenerateEnd), item
                    return found


def relayed(client: Client, path: str, **body: Any) -> list[int]:
    """Tokens of vLLM's own route."""
    fixed = {"model": "demo", "seed": 5, "ignore_eos": True, "return_token_ids": True}
    answer = client.post(path, {**fixed, **body})
    assert answer.status == 200, answer.body
    return answer.json["choices"][0]["token_ids"]


def test_the_card_says_what_the_file_wants(client: Client) -> None:
    found = msgspec.to_builtins(card(client).sampling_defaults)
    assert found["max_tokens"] == VALUES["max_new_tokens"]
    assert {name: found[name] for name in VALUES if name in found} == {
        name: value for name, value in VALUES.items() if name in found
    }
    assert found["max_tokens_limit"] is None


def test_a_chat_is_the_same_both_ways(client: Client) -> None:
    asked = prompt(messages=ASK, add_special_tokens=False)
    own = relayed(client, "/v1/chat/completions", messages=ASK)
    assert len(own) == VALUES["max_new_tokens"]
    assert Hot(client).tokens(asked, None) == own
    assert Hot(client, neutral=True).tokens(asked, None) != own


def test_a_completion_is_the_same_both_ways(client: Client) -> None:
    asked = prompt(text=TEXT)
    own = relayed(client, "/v1/completions", prompt=TEXT)
    assert len(own) == 16, "the file's limit is none of completions"
    assert Hot(client).tokens(asked, 16) == own
    assert Hot(client, neutral=True).tokens(asked, 16) != own


def test_what_a_request_says_wins_both_ways(client: Client) -> None:
    asked = prompt(messages=ASK, add_special_tokens=False)
    said = {"temperature": 0, "repetition_penalty": 1.0}
    own = relayed(client, "/v1/chat/completions", messages=ASK, max_tokens=30, **said)
    assert len(own) == 30
    assert Hot(client).tokens(asked, 30, **said) == own


def test_a_default_length_ends_with_the_context(client: Client) -> None:
    ids = [40 + number % 50 for number in range(CONTEXT - 9)]
    assert len(Hot(client).tokens(prompt(token_ids=ids), None)) == 9


def test_a_chat_with_little_room_is_the_same_both_ways(client: Client) -> None:
    messages = [{"role": "user", "content": "a story " * 118}]
    own = relayed(client, "/v1/chat/completions", messages=messages)
    assert 0 < len(own) < VALUES["max_new_tokens"], "the prompt of this test leaves too much room, or none"
    assert Hot(client).tokens(prompt(messages=messages, add_special_tokens=False), None) == own


def test_the_frontends_own_answers_are_asked_for(client: Client) -> None:
    said = card(client)
    assert (said.relay_chat, said.relay_completions, said.system_fingerprint) == (True, False, "mine")
    answer = client.post("/v1/chat/completions", {"model": "demo", "messages": ASK, "max_tokens": 1}).json
    assert (answer["choices"][0]["message"]["role"], answer["system_fingerprint"]) == ("poet", "mine")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, {"temperature": 0.8, "max_tokens": 24, "max_tokens_limit": None}),
        ({"generation_config": "vllm"}, {"temperature": 1.0, "max_tokens": None, "max_tokens_limit": None}),
        (
            {"override_generation_config": {"temperature": 0.3, "max_new_tokens": 8}},
            {"temperature": 0.3, "max_tokens": 8, "max_tokens_limit": 8, "top_k": 7},
        ),
        (
            {"generation_config": "vllm", "override_generation_config": {"top_k": 3}},
            {"temperature": 1.0, "max_tokens": None, "max_tokens_limit": None, "top_k": 3},
        ),
        ({"generation_config": "FOLDER"}, {"temperature": 0.8, "max_tokens": 24, "max_tokens_limit": 24}),
    ],
)
def test_options_change_it_as_in_vllms_own_routes(
    folder: str, options: dict[str, Any], expected: dict[str, Any]
) -> None:
    found = msgspec.to_builtins(model_defaults(model_config(folder, options)))
    assert {name: found[name] for name in expected} == expected


def test_an_override_that_means_nothing_ends_the_start(folder: str) -> None:
    with pytest.raises(LoadError, match="`temperature` of the generation config but received 'hot'"):
        model_defaults(model_config(folder, {"override_generation_config": {"temperature": "hot"}}))


def model_config(folder: str, options: dict[str, Any]) -> Any:
    """vLLM's configuration of the model under these options."""
    from vllm.engine.arg_utils import AsyncEngineArgs

    given = {name: folder if value == "FOLDER" else value for name, value in options.items()}
    arguments = parse_arguments(MODEL if "FOLDER" in options.values() else folder, given)
    return AsyncEngineArgs.from_cli_args(arguments).create_model_config()
