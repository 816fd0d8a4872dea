"""A request to a small application, and who hears its answer: for the tests of asgi.py."""

from __future__ import annotations

from typing import Any

from twinkle_worker.engines.vllm.asgi import AsgiCall
from twinkle_worker.engines.vllm.side_loop import SideLoop
from twinkle_worker.protocol import HttpParams, HttpPart


class Heard:
    """A listener that keeps everything."""

    def __init__(self) -> None:
        self.parts: list[HttpPart] = []
        self.ends = 0
        self.errors: list[Exception] = []

    def part(self, part: HttpPart) -> None:
        self.parts.append(part)

    def end(self) -> None:
        self.ends += 1

    def error(self, error: Exception) -> None:
        self.errors.append(error)

    @property
    def body(self) -> bytes:
        return b"".join(part.body for part in self.parts)


def params(path: str = "/", body: str = "", **changed: Any) -> HttpParams:
    values: dict[str, Any] = {"method": "POST", "query": "", "headers": [], **changed}
    return HttpParams(request_id="r-1", path=path, body=body, **values)


def begin(side: SideLoop, app: Any, request: HttpParams | None = None) -> tuple[AsgiCall, Heard]:
    heard = Heard()
    call = AsgiCall(app, request or params(), heard)
    call.start(side.loop)
    return call, heard


async def read(receive: Any) -> bytes:
    body = b""
    while True:
        message = await receive()
        body += message["body"]
        if not message["more_body"]:
            return body


def start(status: int = 200, *headers: tuple[bytes, bytes]) -> dict[str, Any]:
    return {"type": "http.response.start", "status": status, "headers": list(headers)}


def piece(body: bytes, more: bool = False) -> dict[str, Any]:
    return {"type": "http.response.body", "body": body, "more_body": more}
