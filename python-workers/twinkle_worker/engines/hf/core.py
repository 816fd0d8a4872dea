"""The loaded engine: streams in, steps, items out. Wiring of the parts of this package, each of which has a file of its own."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable

import torch

from ...protocol import (
    DetokenizeParams,
    DetokenizeResult,
    EngineStats,
    GenerateEnd,
    GenerateParams,
    HttpParams,
    LoadParams,
    ModelCard,
    TokenDelta,
    TokenizeParams,
    TokenizeResult,
)
from ..base import Progress, StepItem
from .adapter_desk import AdapterDesk
from .checks import check_request
from .detokenizer import create_detokenizer
from .output import take_token
from .request import Choice, PrefillJob, Request
from .sampler import BROKEN
from .setup import load_parts
from .stop_matcher import StopMatcher
from .text_stream import TextStream
from .uniform import choice_key


class EngineCore:
    """Continuous batching of one loaded model. Single threaded but for :meth:`stats`."""

    def __init__(self, params: LoadParams, progress: Progress, idle: Callable[[], int | None]) -> None:
        """Load the model, check it and warm it up. Raises LoadError.

        idle: called before ``step`` waits for files; gives the file descriptor that ends the wait, if there is one
        """
        with torch.inference_mode():
            self._parts = load_parts(params, progress)
        self._adapters = AdapterDesk(self._parts.lora)
        self._idle = idle
        self._requests: dict[int, Request] = {}
        self._entropy = random.Random(self._parts.options.seed)
        self._arrivals = 0
        self._steps = 0
        self._prompt_tokens = 0
        self._generation_tokens = 0

    @property
    def card(self) -> ModelCard:
        """What was loaded."""
        return self._parts.card

    def add(self, stream: int, params: GenerateParams) -> None:
        """Queue a request. Raises RequestError."""
        parts = self._parts
        adapter = None if params.adapter is None else self._adapters.get(params.adapter)
        check_request(params, parts.card.vocab_size, parts.options.max_logprobs)
        tokens = parts.codec.encode(params.prompt)
        sampling = params.sampling
        room = parts.codec.limits.room(params.prompt, len(tokens), sampling.max_tokens, sampling.default_max_tokens)
        self._arrivals += 1
        request = Request(stream, params, tokens, self._arrivals, adapter)
        stops = frozenset(sampling.stop_token_ids) | (frozenset() if sampling.ignore_eos else parts.eos)
        for index in range(params.n):
            detokenizer = create_detokenizer(parts.tokenizer, parts.texts, tokens, sampling.skip_special_tokens)
            matcher = StopMatcher(sampling.stop, sampling.include_stop_str_in_output)
            key = choice_key(sampling.seed, index, self._entropy)
            request.choices.append(Choice(request, index, key, TextStream(detokenizer, matcher), stops, room))
        scored = [] if sampling.prompt_logprobs is not None else None
        parts.queue.append(PrefillJob(request, list(request.choices), tokens, prompt_logprobs=scored))
        self._requests[stream] = request

    def add_http(self, stream: int, params: HttpParams) -> None:
        """Queue a command about adapters. Raises RequestError."""
        self._adapters.add(stream, params)

    def abort(self, stream: int) -> None:
        """Forget a stream and free its rows; unknown ids are fine."""
        self._adapters.abort(stream)
        request = self._requests.get(stream)
        if request is not None:
            with torch.inference_mode():
                self._drop(request)

    def _drop(self, request: Request) -> None:
        parts = self._parts
        request.dropped = True
        del self._requests[request.stream]
        parts.queue.drop(request)
        parts.batch.remove([choice for choice in parts.batch.choices if choice.request is request])

    def has_work(self) -> bool:
        """Whether ``step`` would advance anything."""
        return bool(self._requests) or self._adapters.busy

    def step(self) -> Iterable[StepItem]:
        """Decode the running choices, prefill waiting ones, and draw a token for each; adapters are installed before.

        Where only files of adapters are waited for, it blocks until they are read, or Node has a word.
        """
        items: list[StepItem] = []
        with torch.inference_mode():
            self._adapters.turn(items)
            if self._requests:
                self._step(items)
        if not items and not self._requests:
            self._adapters.wait(self._idle())
        return items

    def _step(self, items: list[StepItem]) -> None:
        parts = self._parts
        batch, queue = parts.batch, parts.queue
        for choice in batch.make_room():
            queue.resume(PrefillJob(choice.request, [choice], choice.request.prompt + choice.output))
        logits = [batch.decode()] if batch.choices else []
        prefilled = queue.advance(batch)
        logits += prefilled.logits
        self._steps += 1
        failed: dict[Request, Exception] = {}
        for job in prefilled.broken:
            failed[job.request] = _broken(job.request)
        for job in prefilled.jobs:
            self._begin(job, items, failed)
        if logits:
            self._emit(logits, items, failed)
        for request, error in failed.items():
            self._drop(request)
            items.append((request.stream, error))

    def _begin(self, job: PrefillJob, items: list[StepItem], failed: dict[Request, Exception]) -> None:
        """A prompt is whole: count it, keep what is to be said of it, and end at once what shall generate nothing."""
        request, parts = job.request, self._parts
        if job.choices[0].index > 0 or job.choices[0].output:
            return
        self._prompt_tokens += len(request.prompt)
        if request.params.echo or job.prompt_logprobs is not None:
            try:
                request.prompt_info = parts.codec.info(request.params.prompt, request.prompt, job.prompt_logprobs)
            except Exception as error:  # that request's trouble only
                failed[request] = error
                return
        if request.choices[0].max_tokens == 0:
            for choice in request.choices:
                info, request.prompt_info = request.prompt_info, None
                items.append((request.stream, TokenDelta(choice.index, "", [], finish="length", prompt=info)))
            self._end(request, items)

    def _emit(self, logits: list[torch.Tensor], items: list[StepItem], failed: dict[Request, Exception]) -> None:
        """Draw for every row of the batch and tell the streams."""
        parts = self._parts
        batch = parts.batch
        drawn = batch.sample(logits[0] if len(logits) == 1 else torch.cat(logits))
        leaving: list[Choice] = []
        for row, (choice, token) in enumerate(zip(batch.choices, drawn.ids, strict=True)):
            request = choice.request
            if request in failed:
                continue
            if token == BROKEN:
                batch.clear(row)
                failed[request] = _broken(request)
                continue
            try:
                delta = take_token(choice, token, drawn.logprobs.get(row), parts.eos, parts.texts)
            except Exception as error:  # that request's trouble only
                failed[request] = error
                continue
            self._generation_tokens += 1
            items.append((request.stream, delta))
            if delta.finish is not None:
                leaving.append(choice)
                request.finished += 1
                if request.finished == len(request.choices):
                    self._end(request, items)
        batch.remove(leaving)

    def _end(self, request: Request, items: list[StepItem]) -> None:
        del self._requests[request.stream]
        end = GenerateEnd(
            prompt_tokens=len(request.prompt), completion_tokens=request.completion_tokens, cached_tokens=0
        )
        items.append((request.stream, end))

    def tokenize(self, params: TokenizeParams) -> TokenizeResult:
        """Token ids of a prompt; one longer than the model's context is told, not refused."""
        parts = self._parts
        tokens = parts.codec.tokenize(params.prompt)
        texts = [parts.texts.text_of(token) for token in tokens] if params.with_tokens else None
        return TokenizeResult(token_ids=tokens, tokens=texts, max_model_len=parts.card.max_model_len)

    def detokenize(self, params: DetokenizeParams) -> DetokenizeResult:
        """Text of token ids, special tokens included."""
        return DetokenizeResult(text=self._parts.codec.decode(params.token_ids))

    def close(self) -> None:
        """Give the device's memory back. Nothing may be called after."""
        self._adapters.close()
        on_cuda = self.card.device.startswith("cuda")
        del self._parts, self._adapters
        self._requests.clear()
        if on_cuda:
            torch.cuda.empty_cache()

    def stats(self) -> EngineStats:
        """Counters; may be called from another thread."""
        parts = self._parts
        return EngineStats(
            running=len(parts.batch.choices),
            waiting=len(parts.queue),
            kv_usage=min(1.0, parts.batch.tokens / parts.kv_tokens),
            steps=self._steps,
            prompt_tokens=self._prompt_tokens,
            generation_tokens=self._generation_tokens,
        )


def _broken(request: Request) -> Exception:
    return ArithmeticError(
        f"the model's output for request {request.params.request_id} is not a number; "
        "with float16 this is an overflow: use bfloat16 or float32"
    )
