"""One head for a file of tests: eight CPUs, six fake GPUs. What tests take of it is free again when all have ended."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator

import pytest
from actors_support import eventually

import twinkle_node as tn
from twinkle_node.core.api import ClusterInfo


@pytest.fixture(scope="module", autouse=True)
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClusterInfo]:
    """This process is its driver."""
    joined = tn.init("local", num_cpus=8, env={"TWINKLE_FAKE_DEVICES": "gpu:6"})
    try:
        whole = tn.cluster_resources()
        yield joined
        gc.collect()
        eventually(lambda: tn.available_resources() == whole, "everything that tests took is free again")
    finally:  # or every other file would fail with this one
        began = time.monotonic()
        tn.shutdown()
    assert time.monotonic() - began < 15


@pytest.fixture
def everything_free() -> Iterator[None]:
    """What the test takes of the cluster it gives back."""
    before = tn.cluster_resources()
    yield
    eventually(lambda: tn.available_resources() == before)
