"""Streams over real socket pairs."""

from __future__ import annotations

import socket
import threading
import time

import msgspec
import pytest
from core_support import PATIENCE_S, together

from twinkle_node.core.protocol import Kept
from twinkle_node.core.pump import Pump
from twinkle_node.core.stream import CROWDED, Stream
from twinkle_node.core.wire import FrameReader, frame


class Ends:
    """A stream that is pumped, and the bare socket at its other end."""

    def __init__(self) -> None:
        self.pump = Pump()
        ours, self.other = socket.socketpair()
        self.frames: list[tuple[int, bytes]] = []
        self.ends: list[str] = []
        self.stream = Stream(ours, self.pump, self._frame, self._end)
        self.pump.add(self.stream)

    def until(self, done: object) -> None:
        assert callable(done)
        assert self.pump.drive(done, time.monotonic() + PATIENCE_S)

    def _frame(self, head: memoryview, body: memoryview) -> None:
        said = msgspec.msgpack.decode(head, type=Kept)
        if said.id == 99:
            raise ValueError("not this one")
        self.frames.append((said.id, bytes(body)))
        if said.id == 98:
            self.stream.end("by a frame")

    def _end(self, reason: str) -> None:
        self.pump.remove(self.stream.fileno())
        self.ends.append(reason)


@pytest.fixture
def ends() -> Ends:
    return Ends()


def read_all(sock: socket.socket, wanted: int) -> list[tuple[int, int]]:
    reader, found = FrameReader(), []
    while len(found) < wanted:
        for head, body in reader.feed(sock.recv(1 << 18)):
            found.append((msgspec.msgpack.decode(head, type=Kept).id, len(body)))
    return found


def test_what_is_sent_faster_than_it_is_read_waits_and_arrives_whole_in_its_order(ends: Ends) -> None:
    for number in range(12):
        ends.stream.send(frame(Kept(number), [bytes(1 << 20)]))
    assert ends.stream.crowded
    got: list[tuple[int, int]] = []
    reader = threading.Thread(target=lambda: got.extend(read_all(ends.other, 12)))
    reader.start()
    ends.until(lambda: not ends.stream.crowded)
    ends.pump.start()
    reader.join(PATIENCE_S)
    ends.pump.close()
    assert got == [(number, 1 << 20) for number in range(12)]
    assert CROWDED < 12 << 20


def test_frames_of_several_threads_are_never_mixed(ends: Ends) -> None:
    ends.pump.start()
    got: list[tuple[int, int]] = []

    def write(who: int) -> None:
        for number in range(300):
            ends.stream.send(frame(Kept(who * 1000 + number), [bytes(who * 997 + number)]))

    together(*[lambda who=who: write(who) for who in (1, 2, 3)], lambda: got.extend(read_all(ends.other, 900)))
    for who in (1, 2, 3):
        mine = [(number, size) for number, size in got if number // 1000 == who]
        assert mine == [(who * 1000 + number, who * 997 + number) for number in range(300)]
    ends.pump.close()


def test_the_end_is_told_once_after_the_last_frame(ends: Ends) -> None:
    ends.other.sendall(frame(Kept(1)) + frame(Kept(2)))
    ends.other.close()
    ends.until(lambda: ends.ends)
    ends.stream.end("again")
    assert ends.frames == [(1, b""), (2, b"")]
    assert ends.ends == ["it was closed"]
    ends.stream.send(b"into nothing")


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"garbage, and more of it", "a frame of"),
        (frame(Kept(99)), "not this one"),
        (b"\x05\0\0\0\x01\0\0\0\xc1", "understood"),
    ],
)
def test_what_cannot_be_understood_ends_the_connection_with_the_reason(ends: Ends, data: bytes, why: str) -> None:
    ends.other.sendall(data)
    ends.until(lambda: ends.ends)
    assert why in ends.ends[0]
    assert ends.stream.ended


def test_nothing_is_delivered_after_the_end(ends: Ends) -> None:
    ends.other.sendall(frame(Kept(98)) + frame(Kept(1)))
    ends.until(lambda: ends.ends)
    assert ends.frames == [(98, b"")]
    assert ends.ends == ["by a frame"]


def test_draining_takes_all_that_is_there(ends: Ends) -> None:
    data = b"".join(frame(Kept(number), [bytes(5000)]) for number in range(80))
    sender = threading.Thread(target=lambda: (ends.other.sendall(data), ends.other.close()))
    sender.start()
    ends.until(lambda: ends.frames)
    ends.stream.drain()
    ends.until(lambda: ends.ends)
    assert [number for number, _ in ends.frames] == list(range(80))
    sender.join()


def test_draining_waits_for_what_comes_until_the_other_side_ends(ends: Ends) -> None:
    begun = threading.Event()

    def speak() -> None:
        begun.wait()
        for number in range(3):
            ends.other.sendall(frame(Kept(number), [bytes(5000)]))
        ends.other.close()

    speaker = threading.Thread(target=speak)
    speaker.start()
    ends.stream.drain()
    assert ends.frames == []
    begun.set()
    ends.stream.drain(PATIENCE_S)
    assert [number for number, _ in ends.frames] == [0, 1, 2]
    assert ends.ends == ["it was closed"]
    speaker.join()


def test_draining_waits_no_longer_than_it_may(ends: Ends) -> None:
    ends.stream.drain(0.01)
    assert not ends.stream.ended


def test_closing_while_others_send_and_read_breaks_nothing() -> None:
    for _ in range(60):
        ends = Ends()
        ends.pump.start()
        go = threading.Barrier(3)

        def write(ends: Ends = ends, go: threading.Barrier = go) -> None:
            go.wait()
            for _ in range(30):
                ends.stream.send(frame(Kept(1), [bytes(50_000)]))

        def talk(ends: Ends = ends, go: threading.Barrier = go) -> None:
            go.wait()
            try:
                for number in range(30):
                    ends.other.sendall(frame(Kept(number)))
            except OSError:
                pass

        def close(ends: Ends = ends, go: threading.Barrier = go) -> None:
            go.wait()
            ends.stream.end("enough")

        together(write, talk, close)
        assert len(ends.ends) == 1
        assert ends.stream.fileno() == -1
        ends.pump.close()
