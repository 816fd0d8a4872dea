"""vLLM: the engine process with its rank inside (role whole), the engine process that drives ranks (engine), or one of those (rank)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ...protocol import LaunchSpec
    from ..base import Engine


def create_engine(launch: LaunchSpec) -> Engine:
    """The part of the engine that this process is. vLLM is imported when it loads."""
    from .environment import prepare_environment

    prepare_environment()
    if launch.role == "rank":
        from .worker import VllmRank

        return VllmRank(launch)
    from .engine import VllmEngine

    return VllmEngine(launch)
