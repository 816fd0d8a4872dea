"""The hot path: requests of the stream `generate` on vLLM's core, and their outputs as the wire carries them.

Knows neither HTTP nor the loop that steps the core.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from vllm.lora.request import LoRARequest
from vllm.v1.engine.parallel_sampling import ParentRequest

from ...protocol import GenerateEnd, GenerateParams, PromptInfo, TokenDelta
from ..base import RequestError, StepItem
from .compat import client_errors
from .inline import InlineLLM
from .logprob_items import LogprobTexts, logprob_items
from .middle_tokens import MiddleTokens, may_take_the_short_way
from .prompting import PromptRenderer
from .sampling import to_vllm

_CLIENT_ERRORS = client_errors()


@dataclass(slots=True)
class _Running:
    """A stream and the vLLM request behind it."""

    stream: int
    request_id: str
    choices: int
    prompt_tokens: int
    alternatives: int | None
    prompt_alternatives: int | None
    info: PromptInfo | None
    core_id: str = ""
    completion_tokens: int = 0
    cached_tokens: int = 0
    finished: set[int] = field(default_factory=set)


class Generations:
    """Requests of the hot path, by stream."""

    def __init__(self, llm: InlineLLM, prompts: PromptRenderer, texts: LogprobTexts, tasks: Any) -> None:
        self._llm = llm
        self._prompts = prompts
        self._texts = texts
        self._tasks = tasks
        self._by_request: dict[str, _Running] = {}
        self._by_stream: dict[int, _Running] = {}
        self._middle = MiddleTokens(llm.output_processor)
        self._plain: dict[str, _Running] = {}  # by the id inside the core, of those that may take the short way
        self.prompt_tokens = 0
        self.generation_tokens = 0

    def add(self, stream: int, params: GenerateParams, adapter: LoRARequest | None) -> None:
        """Queue a request. Raises RequestError."""
        tokens = self._prompts.first_tokens(params.prompt)
        wanted = params.sampling
        room = self._prompts.limits.room(params.prompt, len(tokens), wanted.max_tokens, wanted.default_max_tokens)
        request_id = f"{params.request_id}-{stream}"
        try:
            sampling = to_vllm(params, room)
            engine_input = self._prompts.engine_input(tokens)
            request = self._llm.input_processor.process_inputs(
                request_id, engine_input, sampling, supported_tasks=self._tasks, lora_request=adapter
            )
        except _CLIENT_ERRORS as error:
            raise RequestError("INVALID_REQUEST", str(error), getattr(error, "parameter", None)) from error
        running = _Running(
            stream=stream,
            request_id=request_id,
            choices=params.n,
            prompt_tokens=len(tokens),
            alternatives=params.sampling.logprobs,
            prompt_alternatives=params.sampling.prompt_logprobs,
            info=self._prompts.info(params.prompt, tokens)
            if params.echo or params.sampling.prompt_logprobs is not None
            else None,
        )
        self._submit(request, params.n)
        if running.info is None and may_take_the_short_way(sampling):
            running.core_id = request.request_id
            self._plain[running.core_id] = running
        self._by_request[request_id] = running
        self._by_stream[stream] = running
        self.prompt_tokens += len(tokens)

    def abort(self, stream: int) -> bool:
        """Forget a stream and what runs for it; False: not one of ours."""
        running = self._by_stream.get(stream)
        if running is None:
            return False
        self._forget(running)
        ids = self._llm.output_processor.abort_requests((running.request_id,), internal=False)
        self._llm.core.abort_requests(ids)
        return True

    def take_middle(self, output: Any, timestamp: float, stats: Any, items: list[StepItem]) -> bool:
        """An output of the core that needs nothing of vLLM's frontend → an item; False: not such a one."""
        running = self._plain.get(output.request_id)
        delta = None if running is None else self._middle.delta(output, timestamp, stats)
        if running is None or delta is None:
            return False
        count = len(delta.token_ids)
        running.completion_tokens += count
        self.generation_tokens += count
        items.append((running.stream, delta))
        return True

    def take(self, outputs: Sequence[Any], items: list[StepItem]) -> None:
        """vLLM's outputs of one step → items of our streams."""
        for output in outputs:
            running = self._by_request.get(output.request_id)
            if running is None:
                continue
            if output.num_cached_tokens:
                running.cached_tokens = output.num_cached_tokens
            if running.info is not None and output.prompt_logprobs is not None:
                running.info = PromptInfo(
                    token_ids=running.info.token_ids,
                    text=running.info.text,
                    logprobs=logprob_items(
                        self._texts, running.info.token_ids, output.prompt_logprobs, running.prompt_alternatives or 0
                    ),
                )
            for completion in output.outputs:
                if completion.finish_reason == "error":
                    self._forget(running)
                    items.append((running.stream, RuntimeError("vLLM ended the request with an error of its own")))
                    break
                items.append((running.stream, self._delta(running, completion)))
            else:
                if len(running.finished) == running.choices:
                    self._forget(running)
                    end = GenerateEnd(
                        prompt_tokens=running.prompt_tokens,
                        completion_tokens=running.completion_tokens,
                        cached_tokens=running.cached_tokens,
                    )
                    items.append((running.stream, end))

    def _submit(self, request: Any, choices: int) -> None:
        llm = self._llm
        llm.input_processor.assign_request_id(request)
        client: Any = llm.engine_core
        if choices == 1:
            llm.output_processor.add_request(request, None, None, 0)
            client.add_request(request)
            return
        parent = ParentRequest(request)
        for index in range(choices):
            child_id, child_params = parent.get_child_info(index)
            child = request if index == choices - 1 else copy.copy(request)
            child.request_id = child_id
            child.sampling_params = child_params
            llm.output_processor.add_request(child, None, parent, index)
            client.add_request(child)

    def _forget(self, running: _Running) -> None:
        del self._by_request[running.request_id]
        del self._by_stream[running.stream]
        self._plain.pop(running.core_id, None)

    def _delta(self, running: _Running, completion: Any) -> TokenDelta:
        tokens = list(completion.token_ids)
        running.completion_tokens += len(tokens)
        self.generation_tokens += len(tokens)
        info, running.info = running.info, None
        scored = None
        if running.alternatives is not None and completion.logprobs is not None:
            scored = logprob_items(self._texts, tokens, completion.logprobs, running.alternatives)
        finish = completion.finish_reason
        if finish is not None:
            running.finished.add(completion.index)
        return TokenDelta(
            choice=completion.index,
            text=completion.text,
            token_ids=tokens,
            logprobs=scored,
            finish=finish,
            stop_reason=completion.stop_reason,
            prompt=info,
        )
