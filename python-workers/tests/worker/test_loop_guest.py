"""An engine that waits inside ``step``: Node is heard while it waits, every time, and its waiting counts as idle."""

from __future__ import annotations

import os
import select
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from socket import socketpair
from typing import Any

import msgspec
import pytest
import zmq

from twinkle_worker import rank as rank_module
from twinkle_worker.beat import Pulse
from twinkle_worker.channel import Channel
from twinkle_worker.protocol import Call, LaunchSpec, Result
from twinkle_worker.rank import Rank


class Guest:
    """Waits for Node's socket in every step."""

    def __init__(self) -> None:
        self.waited = 0
        self.pulse = Pulse()
        self.poll = select.poll()

    def attach(self, wake_fd: int, pulse: Pulse) -> None:
        self.poll.register(wake_fd, select.POLLIN)
        self.pulse = pulse

    def load(self, params: Any, progress: Any) -> None:
        return None

    def has_work(self) -> bool:
        return True

    def wait_ms(self) -> float:
        return 0.0

    def step(self) -> tuple[()]:
        self.pulse.turn("idle")
        self.poll.poll()
        self.waited += 1
        return ()

    def close(self) -> None:
        pass


@pytest.fixture
def node(tmp_path: Path) -> Iterator[tuple[zmq.Socket[bytes], str]]:
    endpoint = f"ipc://{tmp_path}/hub"
    context = zmq.Context()
    socket = context.socket(zmq.ROUTER)
    socket.setsockopt(zmq.RCVTIMEO, 5000)
    socket.bind(endpoint)
    yield socket, endpoint
    socket.close(0)
    context.term()


def test_no_call_is_missed_while_the_engine_waits(
    node: tuple[zmq.Socket[bytes], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    socket, endpoint = node
    guest = Guest()
    monkeypatch.setattr(rank_module, "create_engine", lambda name, launch: guest)
    descriptors, ours = socketpair()
    launch = LaunchSpec(
        **{"instance": "i", "gang": "g", "epoch": 1, "rank": 0, "local_rank": 0, "world_size": 1, "role": "rank"},
        **{"endpoint": endpoint, "curve": None, "identity": "r", "engine": "mock", "env": {}, "death_fd": -1},
        **{"pass_fd": descriptors.detach(), "listen_fd": -1, "link_fds": [], "master_addr": "", "master_port": 0},
    )
    rank: list[Rank] = []

    def run() -> None:
        rank.append(Rank(launch, Channel(endpoint, b"r"), 60_000))
        rank[0].run()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()

    def ask(number: int, method: str, params: Any) -> None:
        socket.send_multipart([b"r", msgspec.msgpack.encode(Call(id=number, method=method, params=params))])

    def answer() -> Any:
        while True:
            identity, data = socket.recv_multipart()
            if identity == b"r":
                return msgspec.msgpack.decode(data, type=Result)

    assert socket.recv_multipart()[0] == b"r:beat"  # the rank is there
    socket.setsockopt(zmq.ROUTER_MANDATORY, 1)
    _when_connected(lambda: ask(1, "load", {"model": "m", "options": {}}))
    assert answer().id == 1
    for number in range(2, 300):
        ask(number, "echo", number)
        if number % 3 == 0:  # two at once now and then
            ask(number + 1000, "echo", "second")
            assert {answer().id, answer().id} == {number, number + 1000}
        else:
            assert answer().value == number
    deadline = time.monotonic() + 5
    while rank[0]._pulse.phase != "idle" and time.monotonic() < deadline:
        os.sched_yield()
    assert rank[0]._pulse.phase == "idle"
    assert guest.waited > 200, "the loop did not wait in the engine"
    ask(9999, "shutdown", None)
    assert answer().id == 9999
    thread.join(5)
    assert not thread.is_alive()
    ours.close()


def _when_connected(send: Callable[[], None]) -> None:
    """The rank's second connection may still be on its way."""
    for _ in range(100_000):
        try:
            return send()
        except zmq.ZMQError:
            continue
    raise AssertionError("the rank never connected")
