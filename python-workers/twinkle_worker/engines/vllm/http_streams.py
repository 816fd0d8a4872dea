"""Relayed requests by stream id: requests in, items of their streams out. Knows neither vLLM nor the socket."""

from __future__ import annotations

from collections import deque

from ...protocol import HttpParams, HttpPart
from ..base import StepItem
from .asgi import Application, AsgiCall
from .side_loop import SideLoop

STARTS_A_TURN = 8
"""Requests that begin in one turn: reading, checking and tokenizing one takes a millisecond, and the core's next step waits for them."""


class HttpStreams:
    """Requests inside an application, run in turns of ``side``.

    ready: whether a turn would run something at once
    """

    def __init__(self, application: Application, side: SideLoop) -> None:
        self._application = application
        self._side = side
        self._calls: dict[int, AsgiCall] = {}
        self._waiting: deque[AsgiCall] = deque()
        self._items: list[StepItem] = []
        self.ready = False

    @property
    def pending(self) -> bool:
        """Whether a request has not begun, a handler is under way, or something runs that one left behind."""
        return bool(self._waiting) or self._side.pending

    def add(self, stream: int, params: HttpParams) -> None:
        """Take a request; it begins with one of the next turns, in the order of arrival."""
        call = AsgiCall(self._application, params, _Collector(stream, self._items, self._calls))
        self._calls[stream] = call
        self._waiting.append(call)
        self.ready = True

    def abort(self, stream: int) -> None:
        """The client is gone; unknown streams are fine."""
        call = self._calls.pop(stream, None)
        if call is not None:
            call.abort()
            self.ready = True

    def turn(self, items: list[StepItem]) -> None:
        """Let the handlers run, and append what they answered."""
        for _ in range(min(STARTS_A_TURN, len(self._waiting))):
            self._waiting.popleft().start(self._side.loop)
        self._collect(items, self._side.turn())

    def wait(self, items: list[StepItem], wait_ms: float, wake_fd: int | None) -> None:
        """As ``turn`` when it is not ``ready``: blocks up to ``wait_ms``, until a handler can go on or ``wake_fd`` is readable."""
        self._collect(items, self._side.wait(wait_ms, wake_fd))

    def _collect(self, items: list[StepItem], more: bool) -> None:
        self.ready = more or bool(self._waiting)
        if self._items:
            items += self._items
            self._items.clear()


class _Collector:
    """The listener of one stream."""

    __slots__ = ("_calls", "_items", "_stream")

    def __init__(self, stream: int, items: list[StepItem], calls: dict[int, AsgiCall]) -> None:
        self._stream, self._items, self._calls = stream, items, calls

    def part(self, part: HttpPart) -> None:
        self._items.append((self._stream, part))

    def end(self) -> None:
        self._forget(None)

    def error(self, error: Exception) -> None:
        self._forget(error)

    def _forget(self, last: Exception | None) -> None:
        self._calls.pop(self._stream, None)
        self._items.append((self._stream, last))
