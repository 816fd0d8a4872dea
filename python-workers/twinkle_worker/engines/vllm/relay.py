"""Requests that Node relays to vLLM's own routes, and the adapters that those routes load. Wiring."""

from __future__ import annotations

import argparse
from typing import Any

from vllm.lora.request import LoRARequest

from ...protocol import HttpParams
from ..base import Progress, RequestError, StepItem
from .app import build_http_app
from .http_streams import HttpStreams
from .own_answers import wants_chats, wants_completions
from .side_loop import SideLoop
from .weight_update import UPDATE_WEIGHTS, WeightUpdates


class Relay:
    """vLLM's application, turned by the loop that steps the core.

    routes: paths for everybody, as vLLM writes them, e.g. ``/v1/responses/{response_id}``; those for operators are there, too
    """

    def __init__(self, llm: Any, arguments: argparse.Namespace, weights: WeightUpdates, progress: Progress) -> None:
        progress("routes", 0.0, "")
        self._side = SideLoop()
        try:
            self._app = self._side.complete(build_http_app(llm, arguments, {UPDATE_WEIGHTS: weights.answer}))
        except BaseException:
            self._side.close()
            raise
        self._streams = HttpStreams(self._app.application, self._side)
        self.routes = [route.path for route in self._app.routes.public]
        self._arguments = arguments

    @property
    def ready(self) -> bool:
        """Whether a turn would run something at once; else what is open waits for the core, a thread or a timer."""
        return self._streams.ready

    def add(self, stream: int, params: HttpParams) -> None:
        """Start a request; vLLM itself answers what it does not know with 404."""
        self._streams.add(stream, params)

    @property
    def fingerprint(self) -> str | None:
        """What vLLM's answers have as ``system_fingerprint`` (``--fingerprint-mode``)."""
        return getattr(getattr(self._app.state, "openai_serving_completion", None), "system_fingerprint", None)

    @property
    def formats_completions(self) -> bool:
        """Whether every completion is vLLM's own to format."""
        return wants_completions(self._arguments)

    @property
    def formats_chats(self) -> bool:
        """Whether every chat completion is: also where vLLM takes plain answers apart (reasoning)."""
        return wants_chats(self._arguments) or self._parses_chat()

    def _parses_chat(self) -> bool:
        """A parser of tool calls has no say where a request brings no tools, unless it belongs to a model's own format of messages."""
        from vllm.parser.abstract_parser import DelegatingParser

        parser = getattr(getattr(self._app.state, "openai_serving_chat", None), "parser_cls", None)
        if parser is None:
            return False
        return parser.reasoning_parser_cls is not None or parser.__base__ is not DelegatingParser

    @property
    def adapters(self) -> list[LoRARequest]:
        """Those that are loaded."""
        return list(self._app.state.openai_serving_models.lora_requests.values())

    def adapter(self, name: str) -> LoRARequest:
        """A loaded adapter. Raises RequestError."""
        found = self._app.state.openai_serving_models.lora_requests.get(name)
        if found is None:
            raise RequestError("MODEL_NOT_FOUND", f"The model `{name}` does not exist.", "model")
        return found

    def abort(self, stream: int) -> None:
        """The client is gone; unknown streams are fine."""
        self._streams.abort(stream)

    def has_work(self) -> bool:
        """Whether handlers are under way."""
        return self._streams.pending

    def turn(self, items: list[StepItem]) -> None:
        """Let the handlers run, and append what they answered."""
        self._streams.turn(items)

    def wait(self, items: list[StepItem], wait_ms: float, wake_fd: int | None) -> None:
        """As ``turn`` when nothing is ``ready``: blocks up to ``wait_ms``, until a handler can go on or ``wake_fd`` is readable."""
        self._streams.wait(items, wait_ms, wake_fd)

    def close(self) -> None:
        """End the handlers; the core must still be there."""
        self._side.close()
