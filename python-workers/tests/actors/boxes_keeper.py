"""Who keeps values and waits, in tests of boxes that end."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import numpy as np
from actors_support import eventually
from boxes_support import Boxes

import twinkle_node as tn


def node() -> str:
    return tn.get_runtime_context().get_node_id()


@tn.remote
class Keeper:
    def __init__(self) -> None:
        self.kept: Any = None

    def where(self) -> tuple[str, int]:
        return node(), os.getpid()

    def keep(self, value: Any) -> None:
        self.kept = value

    def give(self) -> Any:
        return self.kept

    def make(self, size: int) -> Any:
        return np.ones(size)

    def block(self, path: str) -> tuple[str, int]:
        """Until the file is there."""
        Path(f"{path}-{os.getpid()}").touch()
        while not os.path.exists(path):
            time.sleep(0.01)
        return self.where()


@tn.remote
def block(path: str) -> str:
    Path(f"{path}-{os.getpid()}").touch()
    while not os.path.exists(path):
        time.sleep(0.01)
    return node()


def begun(path: Path, count: int) -> None:
    eventually(lambda: len(list(path.parent.glob(f"{path.name}-*"))) >= count)


def free(cluster: Boxes) -> bool:
    """Nothing is held of what is there."""
    return tn.available_resources() == tn.cluster_resources()
