"""A client for an engine in this process: requests through ``add_http`` and ``add``, with the loop of a rank around them."""

from __future__ import annotations

import json
import time
from typing import Any

from vllm_support import prompt, sampling

from twinkle_worker.engines.base import Engine
from twinkle_worker.protocol import (
    GenerateEnd,
    GenerateParams,
    HttpParams,
    HttpPart,
    TokenDelta,
)

PATIENCE_S = 60.0


class Answer:
    """What came back on one stream."""

    def __init__(self) -> None:
        self.parts: list[Any] = []
        self.ended = False

    @property
    def status(self) -> int:
        return self.parts[0].status

    @property
    def headers(self) -> dict[str, str]:
        return dict(self.parts[0].headers)

    @property
    def body(self) -> bytes:
        return b"".join(part.body for part in self.parts)

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def text(self) -> str:
        """Of the hot path: the text of the first choice."""
        return "".join(part.text for part in self.parts)

    @property
    def events(self) -> list[Any]:
        """Server-sent events, parsed; ``[DONE]`` is left out."""
        lines = self.body.decode().splitlines()
        data = [line.removeprefix("data: ") for line in lines if line.startswith("data: ")]
        return [json.loads(text) for text in data if text != "[DONE]"]


class Client:
    """Streams of one engine."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._streams = 0
        self._answers: dict[int, Answer] = {}

    def begin(self, method: str, path: str, body: Any = None, query: str = "", **headers: str) -> tuple[int, Answer]:
        """Send a request; ``body`` is sent as it is when it is a text."""
        stream, answer = self._open()
        text = "" if body is None else body if isinstance(body, str) else json.dumps(body)
        sent = [
            (name.replace("_", "-"), value) for name, value in {"content_type": "application/json", **headers}.items()
        ]
        self.engine.add_http(stream, HttpParams(f"http-{stream}", method, path, query, sent, text))
        return stream, answer

    def generate(
        self, text: str | list[Any], max_tokens: int, ignore_eos: bool = False, adapter: str | None = None
    ) -> tuple[int, Answer]:
        """The same on the hot path, greedy: a text, or messages."""
        stream, answer = self._open()
        asked = prompt(text=text) if isinstance(text, str) else prompt(messages=text, add_special_tokens=False)
        wanted = sampling(max_tokens=max_tokens, ignore_eos=ignore_eos)
        self.engine.add(stream, GenerateParams(f"hot-{stream}", asked, wanted, 1, False, adapter))
        return stream, answer

    def ask(self, params: GenerateParams) -> Answer:
        """Any request on the hot path."""
        stream, answer = self._open()
        self.engine.add(stream, params)
        return answer

    def post(self, path: str, body: Any = None, query: str = "", **headers: str) -> Answer:
        """A POST and its whole answer."""
        return self.finish(self.begin("POST", path, body, query, **headers)[1])

    def get(self, path: str) -> Answer:
        """A GET and its whole answer."""
        return self.finish(self.begin("GET", path)[1])

    def finish(self, *answers: Answer) -> Answer:
        """Turn the engine until these have ended; returns the first."""
        deadline = time.monotonic() + PATIENCE_S
        while not all(answer.ended for answer in answers):
            assert self.engine.has_work(), "the engine has nothing to do, and an answer is not complete"
            assert time.monotonic() < deadline
            self.turn()
        return answers[0]

    def turn(self) -> None:
        """One turn of a rank's loop."""
        wait_ms = self.engine.wait_ms()
        if wait_ms > 0:
            time.sleep(wait_ms / 1000)  # where the loop looks at its socket
        for stream, item in self.engine.step():
            answer = self._answers[stream]
            assert not answer.ended, "an item after the end"
            if isinstance(item, Exception):
                raise item
            if isinstance(item, (HttpPart, TokenDelta)):
                answer.parts.append(item)
            else:
                assert item is None or isinstance(item, GenerateEnd)
                answer.ended = True

    def _open(self) -> tuple[int, Answer]:
        self._streams += 1
        self._answers[self._streams] = answer = Answer()
        return self._streams, answer
