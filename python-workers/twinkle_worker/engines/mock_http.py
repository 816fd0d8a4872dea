"""The mock engine's own server: every route echoes its request, as JSON or as one event per step. Knows no stream of tokens."""

from __future__ import annotations

import json
from typing import Any

from ..protocol import HttpParams, HttpPart
from .base import RequestError, StepItem

_DEFAULT_EVENTS = 3


class MockServer:
    """Answers ``routes``. A body with ``stream`` gets ``max_tokens`` events (default 3), any other the echo in one part."""

    def __init__(self, routes: list[str]) -> None:
        self.routes = routes
        self._events: dict[int, list[HttpPart]] = {}

    def __bool__(self) -> bool:
        """Whether anything is under way."""
        return bool(self._events)

    def add(self, stream: int, params: HttpParams) -> None:
        if params.path not in self.routes:
            raise RequestError("ROUTE_NOT_FOUND", f"engine mock has no route {params.path}")
        body: dict[str, Any] = json.loads(params.body or "{}")
        headers = dict(params.headers)
        echo = {"method": params.method, "path": params.path, "query": params.query, "headers": headers, "body": body}
        if body.get("stream") is not True:
            self._events[stream] = [_head("application/json", json.dumps(echo).encode())]
            return
        count = int(body.get("max_tokens", _DEFAULT_EVENTS))
        events = [HttpPart(body=f'data: {{"index":{index}}}\n\n'.encode()) for index in range(count)]
        self._events[stream] = [_head("text/event-stream", b""), *events, HttpPart(body=b"data: [DONE]\n\n")]

    def answer(self, stream: int, whole: HttpPart) -> None:
        """Send that with the next step."""
        self._events[stream] = [whole]

    def abort(self, stream: int) -> None:
        self._events.pop(stream, None)

    def step(self) -> list[StepItem]:
        """The next part of every answer, and the ends."""
        items: list[StepItem] = []
        for stream, parts in list(self._events.items()):
            items.append((stream, parts.pop(0)))
            if not parts:
                items.append((stream, None))
                del self._events[stream]
        return items


def _head(kind: str, body: bytes) -> HttpPart:
    return HttpPart(status=200, headers=[("content-type", kind)], body=body)
