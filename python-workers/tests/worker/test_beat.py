"""Signs of life go on whatever the engine's statistics do."""

from __future__ import annotations

from pathlib import Path

import msgspec
import zmq

from twinkle_worker.beat import Pulse, start_beating
from twinkle_worker.channel import Channel
from twinkle_worker.protocol import EngineStats


def test_an_engine_whose_statistics_fail_is_alive(tmp_path: Path) -> None:
    """Without the guard the thread would end at the first failure, and the rank be killed for its silence."""
    with zmq.Context() as context, context.socket(zmq.ROUTER) as router:
        endpoint = f"ipc://{tmp_path}/ranks"
        router.bind(endpoint)
        router.setsockopt(zmq.RCVTIMEO, 10_000)
        calls = 0

        def stats() -> EngineStats | None:
            nonlocal calls
            calls += 1
            if calls == 1:
                raise RuntimeError("dictionary changed size during iteration")
            return EngineStats(1, 0, 0.0, 1, 1, 1)

        start_beating(lambda: Channel(endpoint, b"rank:beat"), 1, Pulse(), stats)
        beats = [msgspec.msgpack.decode(router.recv_multipart()[1]) for _ in range(2)]
    assert [beat["stats"] is None for beat in beats] == [True, False]
