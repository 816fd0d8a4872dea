"""`VllmEngine`: the Engine of base.py in front of vLLM's core, in the process that takes requests. Imports vLLM in ``load`` only."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from ...protocol import (
    DetokenizeParams,
    DetokenizeResult,
    EngineStats,
    GenerateParams,
    HttpParams,
    LaunchSpec,
    LoadParams,
    ModelCard,
    TokenizeParams,
    TokenizeResult,
)
from ..base import LoadError, Progress, StepItem

if TYPE_CHECKING:
    from .serving import Serving

_NOTHING = EngineStats(running=0, waiting=0, kv_usage=0.0, steps=0, prompt_tokens=0, generation_tokens=0)


class VllmEngine:
    """See base.Engine for the contract; single threaded but for ``stats``."""

    def __init__(self, launch: LaunchSpec) -> None:
        self._launch = launch
        self._serving: Serving | None = None
        self._turn: Callable[[str], None] = lambda phase: None

    def attach(self, wake_fd: int, turn: Callable[[str], None]) -> None:
        """See base.LoopGuest: while ranks work, it is not this process that hangs."""
        self._turn = turn

    @property
    def _loaded(self) -> Serving:
        if self._serving is None:
            raise RuntimeError("the engine is used before load or after close")
        return self._serving

    def load(self, params: LoadParams, progress: Progress) -> ModelCard:
        """Build core, frontend and routes. Raises LoadError."""
        progress("import", 0.0, "vllm")
        try:
            from .serving import Serving
        except ImportError as error:
            raise LoadError(
                f"the engine `vllm` lacks a Python package: {error}; run `twinkle-node setup --engine vllm`"
            ) from error
        self._serving = Serving(self._launch, params, progress, lambda: self._turn("step"))
        return self._serving.card

    def add(self, stream: int, params: GenerateParams) -> None:
        """Queue a request of the hot path. Raises RequestError."""
        self._loaded.add(stream, params)

    def add_http(self, stream: int, params: HttpParams) -> None:
        """Hand a request to vLLM's own routes. Raises RequestError."""
        self._loaded.add_http(stream, params)

    def abort(self, stream: int) -> None:
        """Forget a stream and what runs for it; unknown ids are fine."""
        self._loaded.abort(stream)

    def has_work(self) -> bool:
        """Whether ``step`` would advance anything."""
        return self._serving is not None and self._serving.has_work()

    def wait_ms(self) -> float:
        """0 when the core has work; a moment when only handlers wait for their threads."""
        return self._loaded.wait_ms()

    def step(self) -> Iterable[StepItem]:
        """One step of the core, and a turn of the handlers."""
        return self._loaded.step()

    def tokenize(self, params: TokenizeParams) -> TokenizeResult:
        """Token ids of a prompt; one longer than the model's context is told, not refused."""
        return self._loaded.tokenize(params)

    def detokenize(self, params: DetokenizeParams) -> DetokenizeResult:
        """Text of token ids, special tokens included."""
        return self._loaded.detokenize(params)

    def stats(self) -> EngineStats:
        """Counters; may be called from another thread."""
        serving = self._serving
        return serving.stats() if serving is not None else _NOTHING

    def close(self) -> None:
        """End the core and let go of its memory."""
        serving, self._serving = self._serving, None
        if serving is not None:
            serving.close()
