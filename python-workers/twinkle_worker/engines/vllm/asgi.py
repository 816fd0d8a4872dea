"""One HTTP request inside an ASGI application of this process. Knows nothing of vLLM, sockets or streams; starts no thread.

Everything happens on the loop's thread: the callbacks are called from within the application's task.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from time import monotonic
from typing import Any, Protocol
from urllib.parse import unquote

from ...protocol import HttpParams, HttpPart

log = logging.getLogger("twinkle_worker.vllm")

Message = MutableMapping[str, Any]
Application = Callable[
    [MutableMapping[str, Any], Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]
]

OF_THE_CONNECTION = frozenset(
    b"connection keep-alive proxy-authenticate proxy-authorization proxy-connection te trailer transfer-encoding upgrade".split()
)
"""Headers between two neighbours (RFC 9110, 7.6.1): neither goes in nor comes out here."""
OF_THE_SERVER = frozenset((b"date", b"server"))

GRACE_MS = 1000
"""Time in which an application may notice that its client went away, before the next piece that it sends fails."""


class Listener(Protocol):
    """Who hears what becomes of a request. After ``end`` or ``error``, and after an abort, nothing more is called."""

    def part(self, part: HttpPart) -> None:
        """The next piece of the answer; the first one has ``status`` and ``headers``."""

    def end(self) -> None:
        """The answer is complete."""

    def error(self, error: Exception) -> None:
        """The application failed before its answer was complete."""


class AsgiCall:
    """A request and its answer."""

    def __init__(self, application: Application, request: HttpParams, listener: Listener) -> None:
        self._application = application
        self._request = request
        self._listener = listener
        self._body: bytes | None = request.body.encode()
        self._gone = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._entered = False
        self._aborted = False
        self._patience = 0.0
        self._complete = False
        self._head: tuple[int, list[tuple[bytes, bytes]]] | None = None
        self._started = False

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Run as a task of ``loop``, from its next turn on; not at all after an abort."""
        if self._aborted:
            return
        self._task = loop.create_task(self._run())

    def abort(self) -> None:
        """The client is gone: the listener hears nothing more, and the application is told.

        It is told, not cancelled: handlers start tasks of their own that only ``http.disconnect`` ends (vLLM's do, and would leave their
        request running), and half a LoRA load helps nobody. Pieces that come all the same are dropped, and fail after ``GRACE_MS``. Not
        at once: a piece that fails leaves a suspended generator behind, and vLLM's request would run until that is collected.
        """
        self._aborted = True
        self._patience = monotonic() + GRACE_MS / 1000
        self._gone.set()
        if self._task is not None and not self._entered:
            self._task.cancel()

    async def _run(self) -> None:
        self._entered = True
        try:
            await self._application(self._scope(), self._receive, self._send)
            if not self._complete:
                raise RuntimeError("the application returned before its answer was complete")
        except asyncio.CancelledError:
            self._fail(RuntimeError("the server is shutting down"))
            raise
        except Exception as error:
            if self._complete:
                log.error("%s %s failed, and was answered", self._request.method, self._request.path, exc_info=error)
            self._fail(error)
        finally:
            self._gone.set()

    def _fail(self, error: Exception) -> None:
        if not self._aborted and not self._complete:
            self._complete = True
            self._listener.error(error)

    def _scope(self) -> dict[str, Any]:
        request = self._request
        return {
            "type": "http",
            # From 2.4 on applications wait for a failing send instead of listening: a request in a queue would never notice.
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": request.method.upper(),
            "scheme": "http",
            "path": unquote(request.path),
            "raw_path": request.path.encode("latin-1", "replace"),
            "query_string": request.query.encode("latin-1", "replace"),
            "root_path": "",
            "headers": [*_incoming(request.headers), (b"content-length", b"%d" % len(self._body or b""))],
            "client": ("127.0.0.1", 0),
            "server": ("127.0.0.1", 80),
        }

    async def _receive(self) -> Message:
        if self._body is not None and not self._aborted:
            body, self._body = self._body, None
            return {"type": "http.request", "body": body, "more_body": False}
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        kind = message["type"]
        if self._aborted:
            if message.get("more_body") and monotonic() >= self._patience:
                raise ConnectionResetError("the client is gone")
        elif kind == "http.response.start":
            if self._head is not None or self._started:
                raise RuntimeError("the answer has started before")
            self._head = (
                message["status"],
                [(bytes(name), bytes(value)) for name, value in message.get("headers", ())],
            )
            # Most answers are complete at once: their body goes with the head. A stream's head does not wait for its first token.
            asyncio.get_running_loop().call_soon(self._flush_head)
        elif kind == "http.response.body":
            self._answer(bytes(message.get("body", b"")), bool(message.get("more_body")))
        else:
            raise RuntimeError(f"expected http.response.start or http.response.body but received {kind}")

    def _answer(self, body: bytes, more: bool) -> None:
        if self._complete or not (self._head or self._started):
            raise RuntimeError("a piece of an answer that is complete, or has not started")
        if self._head is not None:
            self._deliver_head(body, whole=not more)
        elif body:
            self._listener.part(HttpPart(body=body))
        if not more:
            self._complete = True
            self._gone.set()
            self._listener.end()

    def _flush_head(self) -> None:
        if self._head is not None and not self._aborted:
            self._deliver_head(b"", whole=False)

    def _deliver_head(self, body: bytes, whole: bool) -> None:
        assert self._head is not None
        (status, headers), self._head = self._head, None
        self._started = True
        self._listener.part(HttpPart(body=body, status=status, headers=_outgoing(headers, whole)))


def _incoming(headers: Iterable[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
    """Request headers as ASGI has them, less those of the connection; the length is that of the body we feed."""
    encoded = (
        (name.lower().encode("latin-1", "replace"), value.encode("latin-1", "replace")) for name, value in headers
    )
    return [(name, value) for name, value in encoded if name not in OF_THE_CONNECTION and name != b"content-length"]


def _outgoing(headers: Iterable[tuple[bytes, bytes]], whole: bool) -> list[tuple[str, str]]:
    """Answer headers as they go to Node: lower case; the length only where it is certain."""
    dropped = OF_THE_CONNECTION | OF_THE_SERVER | (frozenset() if whole else {b"content-length"})
    return [
        (lower.decode("latin-1"), value.decode("latin-1"))
        for name, value in headers
        if (lower := name.lower()) not in dropped
    ]
