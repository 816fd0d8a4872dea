"""What several tests of the worker's parts need."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from twinkle_worker.engines.vllm.side_loop import SideLoop


@pytest.fixture
def side() -> Iterator[SideLoop]:
    loop = SideLoop()
    yield loop
    loop.close()
