"""`HfEngine`: the Engine of base.py in front of EngineCore. Imports torch and transformers in ``load`` only, so that a rank can say

hello and report its phases while they load.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from ...protocol import (
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
from ..base import LoadError, Progress, RequestError, StepItem
from .model_files import checked_folder

if TYPE_CHECKING:
    from .core import EngineCore

_NOTHING = EngineStats(running=0, waiting=0, kv_usage=0.0, steps=0, prompt_tokens=0, generation_tokens=0)


class HfEngine:
    """Continuous batching of a Hugging Face model. See base.Engine for the contract; single threaded but for ``stats``."""

    def __init__(self) -> None:
        self._core: EngineCore | None = None

    @property
    def _loaded(self) -> EngineCore:
        if self._core is None:
            raise RuntimeError("the engine is used before load or after close")
        return self._core

    def load(self, params: LoadParams, progress: Progress) -> ModelCard:
        """Load the model, check it and warm it up. Raises LoadError."""
        checked_folder(params.model)  # before the imports, which take seconds
        progress("import", 0.0, "torch and transformers")
        try:
            from .core import EngineCore
        except ImportError as error:
            raise LoadError(
                f"the engine `transformers` lacks a Python package: {error}; run `twinkle-node setup --engine transformers`"
            ) from error
        self._core = EngineCore(params, progress)
        return self._core.card

    def add(self, stream: int, params: GenerateParams) -> None:
        """Queue a request. Raises RequestError."""
        self._loaded.add(stream, params)

    def add_http(self, stream: int, params: HttpParams) -> None:
        raise RequestError("ROUTE_NOT_FOUND", f"engine transformers has no route {params.path}")

    def abort(self, stream: int) -> None:
        """Forget a stream and free its rows; unknown ids are fine."""
        self._loaded.abort(stream)

    def has_work(self) -> bool:
        """Whether ``step`` would advance anything."""
        return self._core is not None and self._core.has_work()

    def wait_ms(self) -> float:
        """Always 0: with work, a step is due."""
        return 0.0

    def step(self) -> Iterable[StepItem]:
        """Decode the running choices, prefill waiting ones, and draw a token for each."""
        return self._loaded.step()

    def tokenize(self, params: TokenizeParams) -> TokenizeResult:
        """Token ids of a prompt; one longer than the model's context is told, not refused."""
        return self._loaded.tokenize(params)

    def detokenize(self, params: DetokenizeParams) -> DetokenizeResult:
        """Text of token ids, special tokens included."""
        return self._loaded.detokenize(params)

    def stats(self) -> EngineStats:
        """Counters; may be called from another thread."""
        core = self._core
        return core.stats() if core is not None else _NOTHING

    def close(self) -> None:
        """Let go of the model and its memory."""
        core, self._core = self._core, None
        if core is not None:
            core.close()
