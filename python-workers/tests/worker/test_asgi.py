"""Requests to a small ASGI application in this process: the scope, streams, big bodies, failures."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from asgi_support import begin, params, piece, read, start

from twinkle_worker.engines.vllm.side_loop import SideLoop
from twinkle_worker.protocol import HttpPart


def test_the_scope_is_that_of_a_server(side: SideLoop) -> None:
    scopes: list[dict[str, Any]] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scopes.append(scope)
        await send(start())
        await send(piece(await read(receive)))

    request = params(
        "/v1/r%C3%A9sponses",
        '{"a":"ß"}',
        method="post",
        query="stream=1&x=%20",
        headers=[
            ("content-type", "application/json"),
            ("X-Test", "é"),
            ("connection", "close"),
            ("content-length", "3"),
        ],
    )
    _, heard = begin(side, app, request)
    side.turn()
    assert json.loads(heard.body) == {"a": "ß"}
    (scope,) = scopes
    assert (scope["type"], scope["method"], scope["path"]) == ("http", "POST", "/v1/résponses")
    assert (scope["raw_path"], scope["query_string"]) == (b"/v1/r%C3%A9sponses", b"stream=1&x=%20")
    assert scope["client"][0] == "127.0.0.1"
    assert scope["headers"] == [
        (b"content-type", b"application/json"),
        (b"x-test", b"\xe9"),
        (b"content-length", b"10"),
    ]


def test_an_answer_that_is_complete_at_once_is_one_part(side: SideLoop) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(
            start(201, (b"Content-Type", b"text/plain"), (b"content-length", b"2"), (b"server", b"x"), (b"Date", b"y"))
        )
        await send(piece(b"ok"))

    _, heard = begin(side, app)
    side.turn()
    assert heard.parts == [
        HttpPart(body=b"ok", status=201, headers=[("content-type", "text/plain"), ("content-length", "2")])
    ]
    assert (heard.ends, heard.errors) == (1, [])
    assert not side.pending


def test_a_stream_comes_piece_by_piece_and_its_head_first(side: SideLoop) -> None:
    more = asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(
            start(
                200,
                (b"content-type", b"text/event-stream"),
                (b"transfer-encoding", b"chunked"),
                (b"content-length", b"9"),
            )
        )
        for number in range(3):
            await more.wait()
            more.clear()
            await send(piece(b"data: %d\n\n" % number, more=True))
        await send(piece(b""))

    _, heard = begin(side, app)
    side.turn()
    assert heard.parts == [HttpPart(body=b"", status=200, headers=[("content-type", "text/event-stream")])]
    for number in range(3):
        assert heard.ends == 0
        more.set()
        side.turn()
        assert heard.parts[-1] == HttpPart(body=b"data: %d\n\n" % number)
    assert len(heard.parts) == 4
    assert heard.ends == 1


def test_a_big_body_goes_through_in_both_directions(side: SideLoop) -> None:
    text = "ä" * 3_000_000

    async def app(scope: Any, receive: Any, send: Any) -> None:
        body = await read(receive)
        await send(start())
        for at in range(0, len(body), 1 << 20):
            await send(piece(body[at : at + (1 << 20)], more=True))
        await send(piece(b""))

    _, heard = begin(side, app, params(body=text))
    side.turn(budget_ms=1000)
    assert heard.body == text.encode()
    assert heard.ends == 1


def test_after_a_complete_answer_receive_says_disconnect(side: SideLoop) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await read(receive)
        await send(start())
        await send(piece(b"done"))
        assert (await receive())["type"] == "http.disconnect"

    _, heard = begin(side, app)
    side.turn()
    assert heard.ends == 1
    assert not side.pending


@pytest.mark.parametrize("after", ["nothing", "head", "piece"])
def test_a_failure_before_the_end_is_an_error(side: SideLoop, after: str) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if after != "nothing":
            await send(start())
        if after == "piece":
            await send(piece(b"half", more=True))
        raise ValueError("on purpose")

    _, heard = begin(side, app)
    side.turn()
    assert [str(error) for error in heard.errors] == ["on purpose"]
    assert heard.ends == 0
    assert heard.body == (b"half" if after == "piece" else b"")


def test_a_failure_after_the_end_is_only_logged(side: SideLoop, caplog: pytest.LogCaptureFixture) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(start(500))
        await send(piece(b"broken"))
        raise ValueError("on purpose")

    _, heard = begin(side, app)
    side.turn()
    assert (heard.body, heard.ends, heard.errors) == (b"broken", 1, [])
    assert "on purpose" in caplog.text


def test_an_application_that_returns_early_is_an_error(side: SideLoop) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(start())
        await send(piece(b"half", more=True))

    _, heard = begin(side, app)
    side.turn()
    assert len(heard.errors) == 1
    assert "before its answer was complete" in str(heard.errors[0])


def test_closing_the_loop_tells_the_listener() -> None:
    side = SideLoop()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.Event().wait()

    _, heard = begin(side, app)
    side.turn()
    side.close()
    assert [str(error) for error in heard.errors] == ["the server is shutting down"]


def test_many_requests_share_a_turn(side: SideLoop) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        body = await read(receive)
        await asyncio.sleep(0)
        await send(start())
        await send(piece(body))

    calls = [begin(side, app, params(body=str(number)))[1] for number in range(200)]
    side.turn(budget_ms=1000)
    assert [heard.body for heard in calls] == [str(number).encode() for number in range(200)]
