"""Clients that go away from a small ASGI application: who listens is told at once, and nobody hears anything more."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from asgi_support import begin, piece, read, start

from twinkle_worker.engines.vllm import asgi
from twinkle_worker.engines.vllm.side_loop import SideLoop


def test_who_listens_hears_at_once_that_the_client_went_away(side: SideLoop) -> None:
    """As vLLM's handlers work: the work is a task of its own, ended by whoever listens for the disconnect."""
    ended: list[str] = []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            ended.append("work")
            raise

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await read(receive)
        task = asyncio.create_task(work())
        assert (await receive())["type"] == "http.disconnect"
        task.cancel()
        await send(start(200))
        await send(piece(b"null"))

    call, heard = begin(side, app)
    side.turn()
    call.abort()
    side.turn()
    assert ended == ["work"]
    assert (heard.parts, heard.ends, heard.errors) == ([], 0, [])
    assert not side.pending


@pytest.mark.parametrize("grace_ms", [0, 60_000])
def test_who_streams_on_regardless_fails_in_the_end(
    side: SideLoop, monkeypatch: pytest.MonkeyPatch, grace_ms: int
) -> None:
    monkeypatch.setattr(asgi, "GRACE_MS", grace_ms)
    pieces = 0
    more = asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        nonlocal pieces
        await send(start())
        while True:
            await send(piece(b"x", more=True))
            pieces += 1
            await more.wait()
            more.clear()

    call, heard = begin(side, app)
    side.turn()
    call.abort()
    for _ in range(3):
        more.set()
        side.turn()
    assert pieces == (4 if grace_ms else 1)
    assert side.pending == bool(grace_ms)
    assert (len(heard.parts), heard.ends, heard.errors) == (1, 0, [])


def test_an_abort_before_the_first_turn_never_enters_the_application(side: SideLoop) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise AssertionError("entered")

    call, heard = begin(side, app)
    call.abort()
    side.turn()
    assert (heard.parts, heard.ends, heard.errors) == ([], 0, [])
    assert not side.pending
