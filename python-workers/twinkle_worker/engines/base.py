"""What an engine is to the worker loop. An engine knows nothing of sockets, frames or Node.

The loop is single threaded: it calls ``step`` as long as ``has_work`` says so and looks at its socket between two steps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from ..protocol import (
    DetokenizeParams,
    DetokenizeResult,
    EngineStats,
    GenerateEnd,
    GenerateParams,
    HttpParams,
    HttpPart,
    LoadParams,
    ModelCard,
    TensorHandle,
    TokenDelta,
    TokenizeParams,
    TokenizeResult,
)

if TYPE_CHECKING:
    from ..beat import Pulse

Progress = Callable[[str, float, str], None]
"""``progress(phase, fraction, detail)``: phase is one of config, tokenizer, weights, warmup; fraction within the phase, 0 to 1."""

StepItem = tuple[int, TokenDelta | HttpPart | GenerateEnd | Exception | None]
"""(stream id, what it gained). After a GenerateEnd, an Exception or None (the end of an HTTP answer) the stream is forgotten."""


class RequestError(Exception):
    """The request is at fault, not the engine: answered as 4xx, the engine goes on.

    code: a code of src/errors.ts, e.g. ``INVALID_REQUEST``, ``CONTEXT_LENGTH_EXCEEDED``, ``CHAT_TEMPLATE``, ``UNSUPPORTED_PARAMETER``.
    param: the request field at fault, by its OpenAI name, or None.
    """

    def __init__(self, code: str, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.param = param


class LoadError(Exception):
    """The model cannot be loaded: the message says why and what to do. Ends the rank; a restart would not help."""


def lacks_package(engine: str, error: ImportError) -> LoadError:
    """What a load raises where the Python it runs in is not made for the engine."""
    return LoadError(
        f"the engine `{engine}` lacks a Python package: {error}; run `twinkle-node setup --engine {engine}`"
    )


class Engine(Protocol):
    """One model in one process."""

    def load(self, params: LoadParams, progress: Progress) -> ModelCard:
        """Load the model; called once, before anything else. Raises LoadError."""
        ...

    def add(self, stream: int, params: GenerateParams) -> None:
        """Queue a request. Raises RequestError, and then knows nothing of the stream."""
        ...

    def add_http(self, stream: int, params: HttpParams) -> None:
        """Queue a request for the engine's own routes (``ModelCard.routes``). Raises RequestError."""
        ...

    def abort(self, stream: int) -> None:
        """Forget a stream and free its slots before the next step; unknown ids are fine."""
        ...

    def has_work(self) -> bool:
        """Whether ``step`` would advance anything."""
        ...

    def step(self) -> Iterable[StepItem]:
        """Advance every running choice by one token, admitting waiting requests first."""
        ...

    def wait_ms(self) -> float:
        """With work: milliseconds until ``step`` is due (0: now). The loop sleeps on its socket until then."""
        ...

    def tokenize(self, params: TokenizeParams) -> TokenizeResult: ...

    def detokenize(self, params: DetokenizeParams) -> DetokenizeResult: ...

    def stats(self) -> EngineStats: ...

    def close(self) -> None:
        """Release devices and threads; called once, also after a failed load."""
        ...


@runtime_checkable
class LoopGuest(Protocol):
    """What an engine also is that waits for something of its own inside ``step``."""

    def attach(self, wake_fd: int, pulse: Pulse) -> None:
        """Called once, before ``load``.

        wake_fd: becomes readable when a frame of Node may have come; edge triggered, so wait on it only inside ``step``, which the loop
        calls with all frames read. pulse: to be turned: ``idle`` while waiting, ``step`` when work begins.
        """
        ...


@runtime_checkable
class TrainingCalls(Protocol):
    """What an engine also is that trains."""

    def train(self, method: str, params: Any) -> Any:
        """Answer a call whose name begins with ``train_``; params and the answer are structs of the contract. Raises RequestError."""
        ...


class TensorViews(Protocol):
    """Tensors in shared segments, as this process sees them."""

    def view(self, handle: TensorHandle) -> memoryview:
        """The bytes of a tensor, without a copy. Raises RequestError for a segment that is not attached."""
        ...


@runtime_checkable
class SegmentUser(Protocol):
    """What an engine also is that reads tensors in shared segments."""

    def use_segments(self, segments: TensorViews) -> None:
        """Called once, before ``load``."""
        ...
