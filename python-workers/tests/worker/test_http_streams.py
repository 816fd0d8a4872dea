"""Relayed requests by stream: items in order, an end for each, aborted ones silent."""

from __future__ import annotations

import asyncio
from typing import Any

from twinkle_worker.engines.vllm.http_streams import HttpStreams
from twinkle_worker.engines.vllm.side_loop import SideLoop
from twinkle_worker.protocol import HttpParams, HttpPart


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Answers the path; /fail raises, /hold waits for the client to go away."""
    if scope["path"] == "/fail":
        raise ValueError("on purpose")
    if scope["path"] == "/hold":
        await receive()
        await receive()
    await asyncio.sleep(0)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": scope["path"].encode()})


def params(path: str) -> HttpParams:
    return HttpParams(request_id="r", method="GET", path=path, query="", headers=[], body="")


def test_every_stream_gets_its_parts_and_its_end(side: SideLoop) -> None:
    streams = HttpStreams(echo, side)
    assert not streams.ready
    for stream in (7, 8):
        streams.add(stream, params(f"/{stream}"))
    assert streams.ready
    assert streams.pending
    items: list[Any] = []
    streams.turn(items)
    assert items == [
        (7, HttpPart(body=b"/7", status=200, headers=[])),
        (7, None),
        (8, HttpPart(body=b"/8", status=200, headers=[])),
        (8, None),
    ]
    assert not streams.ready
    assert not streams.pending
    streams.turn(again := [])
    assert again == []


def test_a_failure_ends_its_own_stream_only(side: SideLoop) -> None:
    streams = HttpStreams(echo, side)
    streams.add(1, params("/fail"))
    streams.add(2, params("/fine"))
    items: list[Any] = []
    streams.turn(items)
    ends = {stream: item for stream, item in items if not isinstance(item, HttpPart)}
    assert isinstance(ends[1], ValueError)
    assert ends[2] is None


def test_an_aborted_stream_says_nothing_more(side: SideLoop) -> None:
    streams = HttpStreams(echo, side)
    items: list[Any] = []
    streams.add(1, params("/hold"))
    streams.turn(items)
    assert items == []
    assert streams.pending
    streams.abort(1)
    assert streams.ready
    streams.abort(1)
    streams.abort(99)
    streams.turn(items)
    assert items == []
    assert not streams.pending


def test_a_crowd_begins_a_few_at_a_time_in_order(side: SideLoop) -> None:
    streams = HttpStreams(echo, side)
    for stream in range(20):
        streams.add(stream, params("/crowd"))
    streams.abort(1)
    begun: list[list[int]] = []
    while streams.pending:
        assert streams.ready
        streams.turn(items := [])
        begun.append([stream for stream, item in items if item is None])
    assert begun == [[0, *range(2, 8)], list(range(8, 16)), list(range(16, 20))]
    assert not streams.ready
