"""An engine without a model: deterministic tokens, scripted delays and faults, no torch.

Token ids 0-255 are bytes, so any text can be tokenised and given back; what it "generates" is a fixed word per (prompt, seed, position).
Adapters load from PEFT folders; other files make other words, at once where they are loaded in place.
Options: ``step_ms`` (time of a step), ``load_ms``, ``max_model_len``, ``max_num_seqs``, ``fault``, ``routes`` (of its server, by comma),
``sleep_ms`` (it can sleep and pause, and falling asleep and waking up take so long).
A fault is ``KIND@PLACE``: kinds ``exit:N``, ``kill``, ``hang``, ``error``; places ``load``, ``token:N`` (the N-th token of this process).
"""

from __future__ import annotations

import os
import signal
import threading
import time
import zlib
from collections import deque
from collections.abc import Iterable
from typing import Any

from ..protocol import (
    DetokenizeParams,
    DetokenizeResult,
    EngineStats,
    GenerateEnd,
    GenerateParams,
    HttpParams,
    LaunchSpec,
    LoadParams,
    ModelCard,
    PromptInfo,
    TokenDelta,
    TokenizeParams,
    TokenizeResult,
)
from .adapter_routes import LOAD, UNLOAD
from .base import LoadError, Progress, RequestError, StepItem
from .mock_adapters import MockAdapter, MockAdapters
from .mock_http import MockServer
from .mock_options import parse_fault, parse_options
from .mock_sleep import MockSleep
from .mock_text import FIRST_WORD, VOCAB, WORDS, cut, logprob, text_of, tokens_of
from .mock_training import MockTraining
from .sampling_defaults import sampling_defaults

_DEFAULT_TOKENS = 16


class _Choice:
    __slots__ = ("adapter", "done", "made", "own_key", "params", "produced", "prompt_tokens", "stream", "text")

    def __init__(
        self,
        stream: int,
        params: GenerateParams,
        choice: int,
        prompt: bytes,
        room: int,
        adapter: MockAdapter | None,
    ) -> None:
        seed = params.sampling.seed or 0
        self.stream = stream
        self.params = params
        self.adapter = adapter
        self.own_key = zlib.crc32(prompt, seed * 1000003 + choice & 0xFFFFFFFF)
        self.prompt_tokens = len(prompt)
        sampling = params.sampling
        wanted = sampling.default_max_tokens if sampling.max_tokens is None else sampling.max_tokens
        self.made = min(_DEFAULT_TOKENS if wanted is None else wanted, room)
        self.produced = 0
        self.text = ""
        self.done = False

    @property
    def key(self) -> int:
        """What decides its words, beside their positions."""
        return self.own_key if self.adapter is None else self.own_key ^ self.adapter.key


class MockEngine:
    """See the module. Every rank of a gang loads; rank 0 generates."""

    def __init__(self, launch: LaunchSpec) -> None:
        self._launch = launch
        self._running: dict[int, list[_Choice]] = {}
        self._waiting: deque[tuple[int, list[_Choice]]] = deque()
        self._first: dict[int, PromptInfo] = {}
        self._due = 0.0
        self._step_ms = 0.0
        self._max_len = 4096
        self._max_seqs = 256
        self._fault = ("", "", 0)
        self._server = MockServer([])
        self._adapters = MockAdapters()
        self._sleep = MockSleep(-1)
        self._training = MockTraining(launch.rank, launch.world_size)
        self._steps = self._prompted = self._generated = 0

    def load(self, params: LoadParams, progress: Progress) -> ModelCard:
        options = parse_options(params.options)
        self._step_ms, self._max_len = options["step_ms"], options["max_model_len"]
        self._max_seqs = options["max_num_seqs"]
        self._fault = parse_fault(options["fault"])
        self._server = MockServer([path for path in options["routes"].split(",") if path])
        self._sleep = MockSleep(options["sleep_ms"])
        progress("weights", 0.0, f"pretending for {options['load_ms']:.0f} ms")
        threading.Event().wait(options["load_ms"] / 1000)
        self._strike("load", 0)
        progress("weights", 1.0, "done")
        return ModelCard(
            engine="mock",
            model=params.model,
            max_model_len=self._max_len,
            max_num_seqs=self._max_seqs,
            vocab_size=VOCAB,
            dtype="none",
            device="cpu",
            parameters=0,
            chat_template=True,
            routes=[*self._server.routes, *self._sleep.routes],
            relay_chat=False,
            relay_completions=False,
            sampling_defaults=sampling_defaults({}),
            system_fingerprint=None,
            adapters=True,
        )

    def train(self, method: str, params: Any) -> Any:
        return self._training.train(params)

    def add(self, stream: int, params: GenerateParams) -> None:
        if params.n > self._max_seqs:
            raise RequestError(
                "INVALID_REQUEST", f"n={params.n} is more than the {self._max_seqs} choices of a step", "n"
            )
        adapter = None if params.adapter is None else self._adapters.get(params.adapter)
        tokens = tokens_of(params.prompt)
        room = self._max_len - len(tokens)
        wanted = params.sampling.max_tokens
        if room < 1 or (wanted is not None and wanted > room):
            raise RequestError(
                "CONTEXT_LENGTH_EXCEEDED",
                f"This model's maximum context length is {self._max_len} tokens. However, you requested {wanted or 1} output tokens and"
                f" your prompt contains {len(tokens)} input tokens. Please reduce the length of either.",
                "messages" if params.prompt.messages is not None else "prompt",
            )
        if params.echo or params.sampling.prompt_logprobs is not None:
            wanted_logprobs = params.sampling.prompt_logprobs is not None
            logprobs = [logprob(token, at > 0) for at, token in enumerate(tokens)] if wanted_logprobs else None
            self._first[stream] = PromptInfo(token_ids=tokens, text=text_of(tokens), logprobs=logprobs)
        seed = repr(tokens).encode()
        choices = [_Choice(stream, params, index, seed, room, adapter) for index in range(params.n)]
        for choice in choices:
            choice.prompt_tokens = len(tokens)
        self._prompted += len(tokens)
        self._waiting.append((stream, choices))
        if not self._running:
            self._due = time.monotonic() + self._step_ms / 1000

    def add_http(self, stream: int, params: HttpParams) -> None:
        if params.path in self._sleep.routes:
            self._server.answer(stream, self._sleep.command(params))
        elif params.path in (LOAD, UNLOAD):
            self._sleep.check_awake(params.path)
            self._server.answer(stream, self._adapters.command(params.path, params.body))
        else:
            self._server.add(stream, params)

    def abort(self, stream: int) -> None:
        self._running.pop(stream, None)
        self._first.pop(stream, None)
        self._server.abort(stream)
        self._waiting = deque(entry for entry in self._waiting if entry[0] != stream)

    def has_work(self) -> bool:
        return bool(self._server) or (not self._sleep.paused and bool(self._running or self._waiting))

    def wait_ms(self) -> float:
        return 0.0 if self._step_ms == 0 else max(0.0, (self._due - time.monotonic()) * 1000)

    def step(self) -> Iterable[StepItem]:
        if self._step_ms:
            self._due = max(self._due + self._step_ms / 1000, time.monotonic())
        items = self._server.step()
        if self._sleep.paused:
            return items
        while self._waiting and sum(map(len, self._running.values())) + len(self._waiting[0][1]) <= self._max_seqs:
            stream, choices = self._waiting.popleft()
            self._running[stream] = choices
        self._steps += 1
        for stream, choices in list(self._running.items()):
            for index, choice in enumerate(choices):
                if not choice.done:
                    items.append((stream, self._advance(index, choice)))
            if all(choice.done for choice in choices):
                made = sum(choice.produced for choice in choices)
                items.append((stream, GenerateEnd(choices[0].prompt_tokens, made, 0)))
                del self._running[stream]
        return items

    def _advance(self, index: int, choice: _Choice) -> TokenDelta:
        sampling = choice.params.sampling
        if choice.made == 0:
            choice.done = True
            return TokenDelta(index, "", [], finish="length", prompt=self._first.pop(choice.stream, None))
        word = (choice.key + choice.produced * 2654435761 >> 7) % len(WORDS)
        token = FIRST_WORD + word
        text = WORDS[word] if choice.produced == 0 else f" {WORDS[word]}"
        choice.produced += 1
        self._generated += 1
        self._strike("token", self._generated)
        finish, reason = None, None
        if sampling.stop:
            text, reason = cut(choice.text, text, sampling.stop, sampling.include_stop_str_in_output)
            choice.text += text
        if reason is not None or token in sampling.stop_token_ids:
            finish = "stop"
            reason = token if reason is None else reason
        elif choice.produced >= choice.made:
            finish = "stop" if sampling.max_tokens is None and sampling.default_max_tokens is None else "length"
        choice.done = finish is not None
        return TokenDelta(
            index,
            text,
            [token],
            logprobs=None if sampling.logprobs is None else [logprob(token, True, sampling.logprobs)],
            finish=finish,
            stop_reason=reason,
            prompt=self._first.pop(choice.stream, None) if self._first else None,
        )

    def _strike(self, place: str, count: int) -> None:
        kind, where, at = self._fault
        if where != place or count < at:
            return
        if kind.startswith("exit:"):
            os._exit(int(kind[5:]))
        elif kind == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        elif kind == "hang":
            threading.Event().wait()
        elif place == "load":
            raise LoadError("scripted fault: error@load")
        else:
            raise RuntimeError(f"scripted fault: {kind}@{where}:{at}")

    def tokenize(self, params: TokenizeParams) -> TokenizeResult:
        tokens = tokens_of(params.prompt)
        return TokenizeResult(
            tokens, [text_of([token]) for token in tokens] if params.with_tokens else None, self._max_len
        )

    def detokenize(self, params: DetokenizeParams) -> DetokenizeResult:
        bad = [token for token in params.token_ids if not 0 <= token < VOCAB]
        if bad:
            raise RequestError("INVALID_REQUEST", f"token id {bad[0]} is outside the vocabulary of {VOCAB}", "tokens")
        return DetokenizeResult(text_of(params.token_ids))

    def stats(self) -> EngineStats:
        running = sum(len(choices) for choices in list(self._running.values()))
        return EngineStats(running, len(self._waiting), 0.0, self._steps, self._prompted, self._generated)

    def close(self) -> None:
        self._running.clear()
