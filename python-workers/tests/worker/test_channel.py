"""How a rank waits for its next frame, with a socket and a clock that are scripted."""

from __future__ import annotations

import msgspec
import pytest
import zmq

from twinkle_worker import channel as module
from twinkle_worker.channel import Channel
from twinkle_worker.protocol import Call

FRAME = msgspec.msgpack.encode(Call(id=1, method="echo", params=None))


class Script:
    """A clock, and a socket whose next frame comes ``after_s`` from when it was last read."""

    def __init__(self) -> None:
        self.now = self.due = 0.0
        self.after_s = 0.0
        self.looks = 0

    def perf_counter(self) -> float:
        return self.now

    def recv(self, flags: int = 0) -> bytes:
        if flags == zmq.NOBLOCK and self.now < self.due:
            self.looks += 1
            self.now += 20e-6
            raise zmq.Again
        self.now = max(self.now, self.due)
        return FRAME

    def looks_for(self, channel: Channel, after_s: float) -> int:
        self.due, self.looks = self.now + after_s, 0
        assert channel.receive(None) is not None
        return self.looks


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Script:
    script = Script()
    monkeypatch.setattr(module.time, "perf_counter", script.perf_counter)
    return script


def test_stays_awake_only_for_callers_that_are_prompt(script: Script, monkeypatch: pytest.MonkeyPatch) -> None:
    channel = Channel("inproc://nobody", b"r")
    real = channel._socket
    monkeypatch.setattr(channel, "_socket", script)
    assert script.looks_for(channel, 100e-6) >= 4, "it was awake when the frame came"
    assert script.looks_for(channel, 5e-3) >= 4, "as it was prompt before"
    assert script.looks_for(channel, 300e-6) == 1, "nobody will be in time: sleep at once"
    assert script.looks_for(channel, 100e-6) >= 4, "that would have been in time"
    real.close(0)
    channel._context.term()
