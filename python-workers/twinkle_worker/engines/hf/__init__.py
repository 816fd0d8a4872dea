"""The `transformers` engine: any decoder-only Hugging Face model with full attention, batched continuously over a KV cache.

Importing this package costs nothing: torch and transformers are imported by ``HfEngine.load``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..base import Engine


def create_engine() -> Engine:
    """A new engine that has loaded nothing yet."""
    from .engine import HfEngine
    from .threads import wait_without_spinning

    wait_without_spinning()
    return HfEngine()
