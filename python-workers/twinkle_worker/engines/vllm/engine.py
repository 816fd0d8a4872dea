"""`VllmEngine`: the Engine of base.py in front of vLLM's core, in the process that takes requests. Imports vLLM in ``load`` only."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ...beat import Pulse
from ...protocol import HttpParams, LaunchSpec, LoadParams
from ..base import Progress, TensorViews
from ..lazy import LazyEngine
from .frames import TIMED_METHODS

if TYPE_CHECKING:
    from .serving import Serving


class VllmEngine(LazyEngine["Serving"]):
    """vLLM with its own routes."""

    name = "vllm"

    def __init__(self, launch: LaunchSpec) -> None:
        super().__init__()
        self._launch = launch
        self._wake_fd: int | None = None
        self._pulse = Pulse()
        self._segments: TensorViews | None = None

    def attach(self, wake_fd: int, pulse: Pulse) -> None:
        """See base.LoopGuest."""
        self._wake_fd, self._pulse = wake_fd, pulse

    def use_segments(self, segments: TensorViews) -> None:
        """See base.SegmentUser."""
        self._segments = segments

    def _waits(self, method: str, ranks: list[int], seconds: float) -> None:
        """A step that waits for ranks is bounded as theirs are; other calls (weights, sleep) may take what they take."""
        if method in TIMED_METHODS:
            self._pulse.wait(f"{method} of rank {', '.join(map(str, ranks))}")
        else:
            self._pulse.turn("step")

    def _import(self, params: LoadParams, progress: Progress) -> Callable[[], Serving]:
        progress("import", 0.0, "vllm")
        from .rank_weights import RankWeights
        from .serving import Serving

        weights = RankWeights(self._segments, self._pulse.turn)
        return lambda: Serving(self._launch, params, progress, self._wake_fd, self._waits, weights)

    def add_http(self, stream: int, params: HttpParams) -> None:
        """Hand a request to vLLM's own routes. Raises RequestError."""
        self.loaded.add_http(stream, params)
