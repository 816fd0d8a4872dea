"""What the engine knows of a request: its choices, and the prefill jobs that bring them into the batch. Plain data."""

from __future__ import annotations

from dataclasses import dataclass, field

from ...protocol import GenerateParams, PromptInfo, SamplingParams, TokenLogprob
from .adapter import Adapter
from .text_stream import TextStream


@dataclass(slots=True, eq=False)
class Choice:
    """One answer under way.

    key: 64 bits that together with the number of tokens so far determine each random draw
    output: tokens so far
    stop_ids: ids that end it, none of which may be drawn before min_tokens
    kv_length: tokens of it in the KV cache while it runs
    """

    request: Request
    index: int
    key: int
    text: TextStream
    stop_ids: frozenset[int]
    max_tokens: int
    output: list[int] = field(default_factory=list)
    kv_length: int = 0

    @property
    def sampling(self) -> SamplingParams:
        """The request's sampling parameters."""
        return self.request.params.sampling


@dataclass(slots=True, eq=False)
class Request:
    """A stream: one prompt and its choices.

    arrival: order of arrival, for deciding who gives way when the KV cache is full
    adapter: of all its choices; None: the base model
    prompt_info: sent with the first item, then None
    """

    stream: int
    params: GenerateParams
    prompt: list[int]
    arrival: int
    adapter: Adapter | None = None
    choices: list[Choice] = field(default_factory=list)
    finished: int = 0
    completion_tokens: int = 0
    dropped: bool = False
    prompt_info: PromptInfo | None = None


@dataclass(slots=True, eq=False)
class PrefillJob:
    """Tokens to compute before ``choices`` can advance together: a prompt, or all of a choice that had to give way.

    done: tokens already in the staging row
    prompt_logprobs: grows by chunk when the request asks for them, else None
    """

    request: Request
    choices: list[Choice]
    tokens: list[int]
    done: int = 0
    prompt_logprobs: list[TokenLogprob] | None = None

    @property
    def left(self) -> int:
        """Tokens still to compute."""
        return len(self.tokens) - self.done
