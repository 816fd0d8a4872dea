"""vLLM's own routes over the engine in this process: every dialect, parsers, structured outputs, and who may call what."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from vllm_http import Client
from vllm_support import MODEL, loaded

from twinkle_worker.engines.base import LoadError
from twinkle_worker.engines.vllm.app import check_arguments
from twinkle_worker.engines.vllm.options import parse_arguments

FRANCE = [{"role": "user", "content": "What is the capital of France?"}]
WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "strict": True,
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string", "enum": ["Paris", "Rome"]}},
            "required": ["city"],
            "additionalProperties": False,
        },
    },
}


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    level = logging.getLogger().level
    engine = loaded(
        enable_auto_tool_choice=True, tool_call_parser="hermes", api_key=["a key of vLLM's own server"], max_num_seqs=16
    )
    assert logging.getLogger().level == level, "our own logs are silenced"
    yield Client(engine)
    engine.close()


def chat(**fields: Any) -> dict[str, Any]:
    return {"model": "demo", "messages": FRANCE, "temperature": 0, "max_tokens": 64, **fields}


def content(client: Client, **fields: Any) -> str:
    answer = client.post("/v1/chat/completions", chat(**fields))
    assert answer.status == 200, answer.body
    return answer.json["choices"][0]["message"]["content"]


def no_space(client: Client) -> dict[str, float]:
    """A bias without which the demo model fills every place where a grammar allows white space, to the last token."""
    return {str(token): -100 for token in client.post("/tokenize", {"prompt": " \n\n\t\r"}).json["tokens"]}


def hot(client: Client, prompt: Any, max_tokens: int = 64, ignore_eos: bool = False) -> str:
    return client.finish(client.generate(prompt, max_tokens, ignore_eos)[1]).text


def test_models_are_served_by_their_names(client: Client) -> None:
    answer = client.get("/v1/models")
    assert [model["id"] for model in answer.json["data"]] == ["demo"]
    assert answer.headers["content-type"] == "application/json"


def test_greedy_chat_says_what_the_hot_path_says(client: Client) -> None:
    expected = hot(client, FRANCE)
    assert "Paris" in expected
    assert content(client) == expected
    streamed = client.post("/v1/chat/completions", chat(stream=True))
    assert "".join(event["choices"][0]["delta"].get("content") or "" for event in streamed.events) == expected
    assert streamed.body.endswith(b"data: [DONE]\n\n")


def test_a_stream_comes_token_by_token(client: Client) -> None:
    expected = hot(client, "The sun", 24, ignore_eos=True)
    body = {
        "model": "demo",
        "prompt": "The sun",
        "temperature": 0,
        "max_tokens": 24,
        "stream": True,
        "ignore_eos": True,
    }
    answer = client.post("/v1/completions", body)
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert "content-length" not in answer.headers
    assert (answer.parts[0].status, answer.parts[0].body) == (200, b"")
    assert all(part.status is None and part.headers is None for part in answer.parts[1:])
    assert "".join(event["choices"][0]["text"] for event in answer.events) == expected
    assert len(answer.parts) > 20


def test_both_paths_share_the_batch(client: Client) -> None:
    prompts = [f"{word} is" for word in ("Water", "Snow", "A cat", "The moon", "Bread", "A tree", "Night", "Rain")]
    alone = [hot(client, prompt, 12) for prompt in prompts]
    body = {"model": "demo", "temperature": 0, "max_tokens": 12}
    relayed = [client.begin("POST", "/v1/completions", {**body, "prompt": prompt})[1] for prompt in prompts]
    direct = [client.generate(prompt, 12)[1] for prompt in prompts]
    client.finish(*relayed, *direct)
    assert [answer.json["choices"][0]["text"] for answer in relayed] == alone
    assert [answer.text for answer in direct] == alone


@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "weather"}}])
@pytest.mark.parametrize("stream", [False, True])
def test_a_tool_call_that_must_be_is_parsed(client: Client, choice: Any, stream: bool) -> None:
    answer = client.post(
        "/v1/chat/completions", chat(tools=[WEATHER], tool_choice=choice, stream=stream, logit_bias=no_space(client))
    )
    assert answer.status == 200, answer.body
    if stream:
        calls = [call for event in answer.events for call in event["choices"][0]["delta"].get("tool_calls") or []]
    else:
        calls = answer.json["choices"][0]["message"]["tool_calls"]
    assert "".join(call["function"].get("name") or "" for call in calls) == "weather"
    arguments = "".join(call["function"].get("arguments") or "" for call in calls)
    assert json.loads(arguments)["city"] in ("Paris", "Rome")


def test_a_tool_call_that_may_be_leaves_an_answer_in_words_alone(client: Client) -> None:
    answer = client.post("/v1/chat/completions", chat(tools=[WEATHER], tool_choice="auto"))
    message = answer.json["choices"][0]["message"]
    assert "Paris" in message["content"]
    assert not message.get("tool_calls")


def test_structured_outputs_hold(client: Client) -> None:
    schema = {
        "type": "object",
        "properties": {"city": {"enum": ["Paris", "Rome"]}},
        "required": ["city"],
        "additionalProperties": False,
    }
    form = {"type": "json_schema", "json_schema": {"name": "place", "schema": schema}}
    place = json.loads(content(client, response_format=form, logit_bias=no_space(client)))
    assert place["city"] in ("Paris", "Rome")
    assert re.fullmatch(r"[0-9]{4}-[0-9]{2}", content(client, structured_outputs={"regex": "[0-9]{4}-[0-9]{2}"}))
    assert content(client, structured_outputs={"choice": ["red", "green"]}) in ("red", "green")
    assert content(client, structured_outputs={"grammar": 'root ::= "yes" | "no"'}) in ("yes", "no")


def test_responses_and_their_events(client: Client) -> None:
    body = {"model": "demo", "input": FRANCE[0]["content"], "temperature": 0, "max_output_tokens": 32}
    expected = hot(client, FRANCE, 32)
    answer = client.post("/v1/responses", body)
    assert answer.json["output"][0]["content"][0]["text"] == expected
    events = client.post("/v1/responses", {**body, "stream": True}).events
    assert events[0]["type"] == "response.created"
    assert events[-1]["type"] == "response.completed"
    assert "".join(event["delta"] for event in events if event["type"] == "response.output_text.delta") == expected


def test_messages_as_anthropic_writes_them(client: Client) -> None:
    body = {"model": "demo", "messages": FRANCE, "max_tokens": 32, "temperature": 0}
    expected = hot(client, FRANCE, 32)
    assert client.post("/v1/messages", body).json["content"][0]["text"] == expected
    events = client.post("/v1/messages", {**body, "stream": True}).events
    assert [events[0]["type"], events[-1]["type"]] == ["message_start", "message_stop"]
    assert (
        "".join(event["delta"].get("text", "") for event in events if event["type"] == "content_block_delta")
        == expected
    )
    counted = client.post("/v1/messages/count_tokens", {"model": "demo", "messages": FRANCE})
    assert counted.json["input_tokens"] == len(
        client.post("/tokenize", {"model": "demo", "messages": FRANCE}).json["tokens"]
    )


def test_tokens_there_and_back(client: Client) -> None:
    tokens = client.post("/tokenize", {"model": "demo", "prompt": "Hello world"}).json["tokens"]
    assert client.post("/detokenize", {"model": "demo", "tokens": tokens}).json["prompt"] == "Hello world"


def test_bad_requests_get_vllms_own_words(client: Client) -> None:
    refused = client.post("/v1/chat/completions", chat(temperature=-3))
    assert refused.status == 400
    assert refused.json["error"]["param"] == "temperature"
    assert client.post("/v1/chat/completions", "{").status == 400
    assert client.post("/v1/chat/completions", chat(), content_type="text/plain").status == 400
    assert client.post("/v1/chat/completions", chat(model="nobody")).json["error"]["type"] == "NotFoundError"
    assert client.post("/v1/chat/completions", chat(structured_outputs={"grammar": "root ::= ("})).status == 400
    long = client.post("/v1/completions", {"model": "demo", "prompt": "word " * 2000})
    assert long.status == 400
    assert "512" in long.json["error"]["message"]


@pytest.mark.parametrize("path", ["/nowhere", "/collective_rpc", "/server_info", "/v1/load_lora_adapter"])
def test_what_is_not_relayed_is_not_there(client: Client, path: str) -> None:
    assert client.post(path, {"method": "shutdown"}).status == 404
    assert client.get(path).status == 404


def test_operators_can_put_it_to_sleep_and_hold_it(client: Client) -> None:
    expected = hot(client, FRANCE)
    assert client.post("/pause", query="mode=wait").json == {"status": "paused"}
    assert client.get("/is_paused").json == {"is_paused": True}
    assert client.post("/resume").status == 200
    assert client.post("/reset_prefix_cache").json == {"success": True}
    assert content(client) == expected


def test_metrics_count_relayed_requests(client: Client) -> None:
    def finished() -> float:
        page = client.get("/metrics")
        assert page.status == 200
        assert page.headers["content-type"].startswith("text/plain")
        lines = [line for line in page.body.decode().splitlines() if line.startswith("vllm:request_success_total")]
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines)

    before = finished()
    content(client)
    hot(client, FRANCE)
    assert finished() == before + 2


def test_parsers_that_nobody_knows_are_refused_before_a_model_is_loaded(tmp_path: Path) -> None:
    with pytest.raises(LoadError, match="invalid tool call parser: hermit"):
        check_arguments(parse_arguments(MODEL, {"enable_auto_tool_choice": True, "tool_call_parser": "hermit"}))
    plugin = tmp_path / "plugin.py"
    plugin.write_text("raise RuntimeError('a broken plugin')")
    with pytest.raises(LoadError):
        check_arguments(
            parse_arguments(
                MODEL,
                {"tool_parser_plugin": str(plugin), "enable_auto_tool_choice": True, "tool_call_parser": "own"},
            )
        )
    plugin.write_text(
        "from vllm.tool_parsers import ToolParserManager\n"
        "from vllm.tool_parsers.hermes_tool_parser import Hermes2ProToolParser\n"
        "ToolParserManager.register_module('own', module=Hermes2ProToolParser)\n"
    )
    check_arguments(
        parse_arguments(
            MODEL, {"tool_parser_plugin": str(plugin), "enable_auto_tool_choice": True, "tool_call_parser": "own"}
        )
    )
