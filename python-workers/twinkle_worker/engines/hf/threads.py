"""How the threads of torch wait for each other. Knows nothing of torch, and must run before torch is imported."""

from __future__ import annotations

import os


def wait_without_spinning() -> None:
    """Have OpenMP threads sleep at barriers, unless the user has said otherwise.

    They spin by default, which is a little faster on idle cores; but a rank shares its cores with Node, clients and other ranks, and
    then each barrier lasts until the scheduler has let all spinners run: decode steps took three to ten times as long.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
