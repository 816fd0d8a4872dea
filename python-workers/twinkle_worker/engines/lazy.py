"""An engine whose machinery is imported when it loads: a rank says hello and reports its phases while that takes its seconds."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable
from typing import Generic, Protocol, TypeVar

from ..protocol import (
    DetokenizeParams,
    DetokenizeResult,
    EngineStats,
    GenerateParams,
    HttpParams,
    LoadParams,
    ModelCard,
    TokenizeParams,
    TokenizeResult,
)
from .base import Progress, RequestError, StepItem, lacks_package

_NOTHING = EngineStats(running=0, waiting=0, kv_usage=0.0, steps=0, prompt_tokens=0, generation_tokens=0)


class Machinery(Protocol):
    """What is there after a load. See base.Engine for what its methods do."""

    @property
    def card(self) -> ModelCard: ...

    def add(self, stream: int, params: GenerateParams) -> None: ...

    def abort(self, stream: int) -> None: ...

    def has_work(self) -> bool: ...

    def step(self) -> Iterable[StepItem]: ...

    def tokenize(self, params: TokenizeParams) -> TokenizeResult: ...

    def detokenize(self, params: DetokenizeParams) -> DetokenizeResult: ...

    def stats(self) -> EngineStats: ...

    def close(self) -> None: ...


M = TypeVar("M", bound=Machinery)


class LazyEngine(Generic[M]):
    """base.Engine by delegation; single threaded but for ``stats``.

    name: as ``--engine`` has it
    """

    name: str

    def __init__(self) -> None:
        self._machinery: M | None = None

    @abstractmethod
    def _import(self, params: LoadParams, progress: Progress) -> Callable[[], M]:
        """Import the machinery; what is returned loads the model with it. Raises LoadError; an ImportError is made one."""

    @property
    def loaded(self) -> M:
        """The machinery. Raises RuntimeError before a load and after ``close``."""
        if self._machinery is None:
            raise RuntimeError("the engine is used before load or after close")
        return self._machinery

    def load(self, params: LoadParams, progress: Progress) -> ModelCard:
        """Load the model. Raises LoadError."""
        try:
            build = self._import(params, progress)
        except ImportError as error:
            raise lacks_package(self.name, error) from error
        self._machinery = build()
        return self._machinery.card

    def add(self, stream: int, params: GenerateParams) -> None:
        """Queue a request. Raises RequestError."""
        self.loaded.add(stream, params)

    def add_http(self, stream: int, params: HttpParams) -> None:
        """Refused: this engine has no routes of its own."""
        raise RequestError("ROUTE_NOT_FOUND", f"engine {self.name} has no route {params.path}")

    def abort(self, stream: int) -> None:
        """Forget a stream and free what it has; unknown ids are fine."""
        self.loaded.abort(stream)

    def has_work(self) -> bool:
        """Whether ``step`` would advance anything."""
        return self._machinery is not None and self._machinery.has_work()

    def wait_ms(self) -> float:
        """Always 0: with work, a step is due."""
        return 0.0

    def step(self) -> Iterable[StepItem]:
        """Advance what runs by one step."""
        return self.loaded.step()

    def tokenize(self, params: TokenizeParams) -> TokenizeResult:
        """Token ids of a prompt; one longer than the model's context is told, not refused."""
        return self.loaded.tokenize(params)

    def detokenize(self, params: DetokenizeParams) -> DetokenizeResult:
        """Text of token ids, special tokens included."""
        return self.loaded.detokenize(params)

    def stats(self) -> EngineStats:
        """Counters; may be called from another thread."""
        machinery = self._machinery
        return machinery.stats() if machinery is not None else _NOTHING

    def close(self) -> None:
        """Let go of the model and its memory."""
        machinery, self._machinery = self._machinery, None
        if machinery is not None:
            machinery.close()
