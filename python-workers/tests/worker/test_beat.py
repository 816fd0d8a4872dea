"""Signs of life go on whatever the engine's statistics do."""

from __future__ import annotations

import threading
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


def test_a_loop_inside_a_collective_is_told_from_one_at_work(tmp_path: Path) -> None:
    """Both have not turned for long. Which of them hangs is for Node to judge, and it has nothing else to go by."""
    entered, release = threading.Event(), threading.Event()
    space = {"wait": lambda: (entered.set(), release.wait(10))}
    code = "def all_reduce(): return helper()\ndef helper(): return wait()"
    exec(compile(code, "/site-packages/torch/distributed/distributed_c10d.py", "exec"), space)
    pulse = Pulse()
    with zmq.Context() as context, context.socket(zmq.ROUTER) as router:
        router.bind(endpoint := f"ipc://{tmp_path}/ranks")
        router.setsockopt(zmq.RCVTIMEO, 10_000)

        def next_beat() -> dict[str, object]:
            return msgspec.msgpack.decode(router.recv_multipart()[1])

        def loop() -> None:
            start_beating(lambda: Channel(endpoint, b"rank:beat"), 1, pulse, lambda: None)
            pulse.turn("step")
            space["all_reduce"]()  # pyright: ignore[reportCallIssue]

        thread = threading.Thread(target=loop)
        thread.start()
        assert entered.wait(10)
        while (beat := next_beat())["busy_ms"] < 1000:  # pyright: ignore[reportOperatorIssue]
            assert beat["waits"] is None  # a step of usual length is not looked into
        assert beat["waits"] == "helper"
        release.set()
        thread.join()
        pulse.wait("execute_model of rank 1")
        while (beat := next_beat())["waits"] != "execute_model of rank 1":
            pass
        pulse.turn("step")
        while next_beat()["waits"] is not None:
            pass
