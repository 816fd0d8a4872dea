"""Clients that go away: the engine's request is gone within a turn, whether it streams, computes or waits its turn."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from vllm_http import Client
from vllm_support import loaded

MESSAGES = [{"role": "user", "content": "Tell me a story."}]
# vLLM is not to stop by itself before the test has looked.
LONG: dict[str, Any] = {"model": "demo", "messages": MESSAGES, "temperature": 0, "max_tokens": 400, "ignore_eos": True}


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    engine = loaded(max_num_seqs=2)
    yield Client(engine)
    engine.close()


def counts(client: Client) -> tuple[int, int]:
    stats = client.engine.stats()
    return stats.running, stats.waiting


def turn_until(client: Client, expected: tuple[int, int]) -> None:
    for _ in range(200):
        if counts(client) == expected:
            return
        client.turn()
    raise AssertionError(f"expected {expected} running and waiting but found {counts(client)}")


def test_a_stream(client: Client) -> None:
    stream, answer = client.begin("POST", "/v1/chat/completions", {**LONG, "stream": True})
    while len(answer.parts) < 5:
        client.turn()
    client.engine.abort(stream)
    seen = len(answer.parts)
    client.turn()
    assert counts(client) == (0, 0)
    turn_until_idle(client)
    assert len(answer.parts) == seen


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/chat/completions", LONG),
        ("/v1/chat/completions", {**LONG, "n": 2, "temperature": 1}),
        ("/v1/completions", {"model": "demo", "prompt": "The sun", "max_tokens": 400, "ignore_eos": True}),
        ("/v1/responses", {"model": "demo", "input": "Tell me a story.", "max_output_tokens": 400, "ignore_eos": True}),
        ("/v1/messages", {"model": "demo", "messages": MESSAGES, "max_tokens": 400, "temperature": 0}),
    ],
)
def test_an_answer_that_is_still_computed(client: Client, path: str, body: dict[str, Any]) -> None:
    stream, answer = client.begin("POST", path, body)
    turn_until(client, (body.get("n", 1), 0))
    client.engine.abort(stream)
    client.turn()
    assert counts(client) == (0, 0)
    turn_until_idle(client)
    assert answer.parts == []


@pytest.mark.parametrize("stream", [False, True])
def test_a_request_that_waits_for_its_place(client: Client, stream: bool) -> None:
    first = [client.begin("POST", "/v1/chat/completions", LONG)[0] for _ in range(2)]
    turn_until(client, (2, 0))
    waiting, answer = client.begin("POST", "/v1/chat/completions", {**LONG, "stream": stream})
    turn_until(client, (2, 1))
    client.engine.abort(waiting)
    client.turn()
    assert counts(client) == (2, 0)
    for number in first:
        client.engine.abort(number)
    turn_until_idle(client)
    assert counts(client) == (0, 0)
    assert all(part.body == b"" for part in answer.parts)


def test_a_request_that_has_not_begun(client: Client) -> None:
    stream, answer = client.begin("POST", "/v1/chat/completions", LONG)
    client.engine.abort(stream)
    turn_until_idle(client)
    assert answer.parts == []
    assert counts(client) == (0, 0)


def test_closing_with_requests_under_way_leaves_none_behind(client: Client) -> None:
    """Last of this file: others follow on a fresh engine."""
    client.begin("POST", "/v1/chat/completions", {**LONG, "stream": True})
    client.begin("POST", "/v1/chat/completions", LONG)
    turn_until(client, (2, 0))
    client.engine.close()
    assert not client.engine.has_work()


def turn_until_idle(client: Client) -> None:
    """Handlers clean up behind the abort; nothing of them may stay."""
    for _ in range(200):
        if not client.engine.has_work():
            return
        client.turn()
    raise AssertionError("handlers or requests are left")
