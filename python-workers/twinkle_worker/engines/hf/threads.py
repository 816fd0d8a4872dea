"""How many threads torch computes with on the CPU, and how they wait for each other. Imports no torch."""

from __future__ import annotations

import os

_SMALL_MODEL = 16_000_000
"""Parameters under which a second thread costs more at barriers than it computes, unless nothing else runs on the machine."""


def wait_without_spinning() -> None:
    """Have OpenMP threads sleep at barriers, unless the user has said otherwise. Must run before torch is imported.

    They spin by default, which is a little faster on idle cores; but a rank shares its cores with Node, clients and other ranks, and
    then each barrier lasts until the scheduler has let all spinners run: decode steps took three to ten times as long.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def thread_count(asked: int | None, parameters: int) -> int | None:
    """Threads for a model of so many parameters; None leaves torch's default, which OMP_NUM_THREADS sets."""
    if asked is not None:
        return asked
    return 1 if parameters < _SMALL_MODEL and "OMP_NUM_THREADS" not in os.environ else None
