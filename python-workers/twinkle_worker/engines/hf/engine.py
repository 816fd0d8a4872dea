"""`HfEngine`: the Engine of base.py in front of EngineCore. Imports torch and transformers in ``load`` only."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ...beat import Pulse
from ...protocol import HttpParams, LoadParams
from ..base import Progress
from ..lazy import LazyEngine
from .model_files import checked_folder

if TYPE_CHECKING:
    from .core import EngineCore


class HfEngine(LazyEngine["EngineCore"]):
    """Continuous batching of a Hugging Face model."""

    name = "transformers"

    def __init__(self) -> None:
        super().__init__()
        self._wake_fd: int | None = None
        self._pulse = Pulse()

    def attach(self, wake_fd: int, pulse: Pulse) -> None:
        """See base.LoopGuest."""
        self._wake_fd, self._pulse = wake_fd, pulse

    def add_http(self, stream: int, params: HttpParams) -> None:
        """Queue a command about adapters. Raises RequestError."""
        self.loaded.add_http(stream, params)

    def _idle(self) -> int | None:
        self._pulse.turn("idle")
        return self._wake_fd

    def _import(self, params: LoadParams, progress: Progress) -> Callable[[], EngineCore]:
        checked_folder(params.model)  # before the imports, which take seconds
        progress("import", 0.0, "torch and transformers")
        from .core import EngineCore

        return lambda: EngineCore(params, progress, self._idle)
