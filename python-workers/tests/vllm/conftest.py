"""One engine for the tests of a module."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")
pytest.importorskip("vllm.version", reason="needs the environment of `twinkle-node setup --engine vllm`")


@pytest.fixture(scope="module")
def nursery() -> Iterator[Any]:
    """What forks the ranks of a module's gangs."""
    import gang_support

    os.environ.update(gang_support.ENVIRONMENT)
    nursery = gang_support.Nursery()
    yield nursery
    nursery.close()


@pytest.fixture(scope="module")
def engine() -> Iterator[Any]:
    from vllm_support import loaded

    loaded_engine = loaded()
    yield loaded_engine
    loaded_engine.close()
