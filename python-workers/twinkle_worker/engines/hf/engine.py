"""`HfEngine`: the Engine of base.py in front of EngineCore. Imports torch and transformers in ``load`` only."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ...protocol import LoadParams
from ..base import Progress
from ..lazy import LazyEngine
from .model_files import checked_folder

if TYPE_CHECKING:
    from .core import EngineCore


class HfEngine(LazyEngine["EngineCore"]):
    """Continuous batching of a Hugging Face model."""

    name = "transformers"

    def _import(self, params: LoadParams, progress: Progress) -> Callable[[], EngineCore]:
        checked_folder(params.model)  # before the imports, which take seconds
        progress("import", 0.0, "torch and transformers")
        from .core import EngineCore

        return lambda: EngineCore(params, progress)
