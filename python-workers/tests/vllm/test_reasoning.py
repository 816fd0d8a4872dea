"""A model that thinks: vLLM's reasoning parser over the engine in this process, in every dialect."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from thinking_model import CONTENT, REASONING, STORY, make
from vllm_http import Client
from vllm_support import loaded

TOKENS = 15
"""As many as the two parts of the answer have, marks included."""


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    engine = loaded(make(tmp_path_factory.mktemp("thinking") / "model"), reasoning_parser="deepseek_r1", max_num_seqs=4)
    yield Client(engine)
    engine.close()


def chat(**fields: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": STORY}]
    return {"model": "demo", "messages": messages, "temperature": 0, "max_tokens": TOKENS, **fields}


def test_every_chat_is_vllms_to_format(client: Client) -> None:
    engine: Any = client.engine
    assert engine.loaded.card.relay_chat


def test_the_text_itself_has_the_marks(client: Client) -> None:
    text = client.finish(client.generate([{"role": "user", "content": STORY}], TOKENS)[1]).text
    assert text == f"<think>{REASONING}</think>{CONTENT}"


def test_an_answer_has_its_reasoning_apart(client: Client) -> None:
    answer = client.post("/v1/chat/completions", chat())
    assert answer.status == 200, answer.body
    message = answer.json["choices"][0]["message"]
    assert (message["reasoning"], message["content"]) == (REASONING, CONTENT)


def test_a_stream_says_the_reasoning_first(client: Client) -> None:
    deltas = [event["choices"][0]["delta"] for event in client.post("/v1/chat/completions", chat(stream=True)).events]
    assert "".join(delta.get("reasoning") or "" for delta in deltas) == REASONING
    assert "".join(delta.get("content") or "" for delta in deltas) == CONTENT
    kinds = [kind for delta in deltas for kind in ("reasoning", "content") if delta.get(kind)]
    assert kinds == sorted(kinds, reverse=True), "reasoning after content"
    assert len(kinds) > 6, "not token by token"


def test_an_answer_that_is_cut_off_in_its_reasoning_has_no_content(client: Client) -> None:
    message = client.post("/v1/chat/completions", chat(max_tokens=4)).json["choices"][0]["message"]
    assert message["content"] is None
    assert REASONING.startswith(message["reasoning"])


def test_a_constraint_holds_the_content_and_lets_the_reasoning_be(client: Client) -> None:
    held = chat(max_tokens=40, structured_outputs={"choice": ["maybe", "never"]})
    message = client.post("/v1/chat/completions", held).json["choices"][0]["message"]
    assert message["reasoning"] == REASONING
    assert message["content"] in ("maybe", "never")


def test_responses_and_messages_tell_them_apart(client: Client) -> None:
    body = {"model": "demo", "input": STORY, "temperature": 0, "max_output_tokens": TOKENS}
    thought, said = client.post("/v1/responses", body).json["output"]
    assert (thought["type"], thought["content"][0]["text"]) == ("reasoning", REASONING)
    assert (said["type"], said["content"][0]["text"]) == ("message", CONTENT)
    events = client.post("/v1/responses", {**body, "stream": True}).events
    text = "".join(event["delta"] for event in events if event["type"] == "response.reasoning_text.delta")
    assert text == REASONING
    answer = client.post("/v1/messages", {**chat(), "model": "demo"}).json["content"]
    parts = {part["type"]: part.get("thinking") or part.get("text") for part in answer}
    assert parts == {"thinking": REASONING, "text": CONTENT}
