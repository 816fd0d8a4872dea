"""`TrainingEngine`: the training core as an engine of a rank. It answers calls and has no streams; torch is imported in ``load`` only."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from ..engines.base import Progress, RequestError, StepItem, lacks_package
from ..engines.hf.model_files import checked_folder
from ..protocol import (
    ClearGradientParams,
    CreateRunParams,
    DetokenizeParams,
    DetokenizeResult,
    EncodeParams,
    EngineStats,
    GenerateParams,
    GradientNormParams,
    HttpParams,
    LaunchSpec,
    LoadParams,
    LoadRunParams,
    ModelCard,
    OptimStepParams,
    RunParams,
    SaveRunParams,
    TokenizeParams,
    TokenizeResult,
    TrainPassParams,
)

if TYPE_CHECKING:
    from .calls import TrainerCalls

log = logging.getLogger(__name__)

_TOGETHER = (TrainPassParams, OptimStepParams, GradientNormParams)
"""What ranks wait for each other in."""


class TrainingEngine:
    """One base model and the runs that train on it."""

    def __init__(self, launch: LaunchSpec) -> None:
        self._launch = launch
        self._calls: TrainerCalls | None = None

    def load(self, params: LoadParams, progress: Progress) -> ModelCard:
        """Load the base model. Raises LoadError."""
        checked_folder(params.model)  # before the imports, which take seconds
        progress("import", 0.0, "torch and transformers")
        try:
            from .calls import TrainerCalls
        except ImportError as error:
            raise lacks_package("transformers", error) from error
        self._calls = TrainerCalls(params, self._launch, progress)
        return self._calls.card

    def train(self, method: str, params: Any) -> Any:
        """See ``base.TrainingCalls``. Ends the process where it fails by itself in what other ranks wait for: they are ended with it."""
        try:
            return self._answer(method, params)
        except RequestError:
            raise
        except Exception as error:
            if self._launch.world_size == 1 or not isinstance(params, _TOGETHER):
                raise
            log.critical("%s failed in this rank, and others may wait for it", method, exc_info=error)
            raise SystemExit(1) from error

    def _answer(self, method: str, params: Any) -> Any:
        if self._calls is None:
            raise RequestError("PROTOCOL", "the base model is not loaded")
        match params:
            case CreateRunParams():
                return self._calls.create(params)
            case RunParams():
                return self._calls.drop(params)
            case TrainPassParams():
                return self._calls.compute(params)
            case OptimStepParams():
                return self._calls.step(params)
            case GradientNormParams():
                return self._calls.norm(params)
            case ClearGradientParams():
                return self._calls.clear(params)
            case EncodeParams():
                return self._calls.encode(params)
            case SaveRunParams():
                return self._calls.save(params)
            case LoadRunParams():
                return self._calls.load(params)
            case None:
                return self._calls.release()
            case _:
                raise RequestError("PROTOCOL", f"method {method!r} does not train")

    def add(self, stream: int, params: GenerateParams) -> None:
        """Refused: this engine trains."""
        raise RequestError("UNSUPPORTED_PARAMETER", "this rank trains and does not generate")

    def add_http(self, stream: int, params: HttpParams) -> None:
        """Refused: there is no server here."""
        raise RequestError("UNSUPPORTED_PARAMETER", "this rank trains and has no server")

    def abort(self, stream: int) -> None:
        """Nothing: there are no streams."""

    def has_work(self) -> bool:
        """Never: calls are answered when they come."""
        return False

    def step(self) -> Iterable[StepItem]:
        """Nothing to step."""
        return ()

    def wait_ms(self) -> float:
        """Irrelevant without work."""
        return 0.0

    def tokenize(self, params: TokenizeParams) -> TokenizeResult:
        """Refused: clients tokenize."""
        raise RequestError("UNSUPPORTED_PARAMETER", "this rank trains and has no tokenizer")

    def detokenize(self, params: DetokenizeParams) -> DetokenizeResult:
        """Refused: clients tokenize."""
        raise RequestError("UNSUPPORTED_PARAMETER", "this rank trains and has no tokenizer")

    def stats(self) -> EngineStats:
        """Tokens that were trained on count as prompt tokens, passes as steps."""
        calls = self._calls
        passes, tokens = (0, 0) if calls is None else (calls.passes, calls.tokens)
        return EngineStats(running=0, waiting=0, kv_usage=0.0, steps=passes, prompt_tokens=tokens, generation_tokens=0)

    def close(self) -> None:
        """Let go of the model."""
        self._calls = None
