"""The link between engine process and rank: frames of any size, both ways, several threads, and the end of the other side."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from twinkle_worker.engines.vllm.link import Link, LinkClosed, spin_s


@pytest.fixture
def ends() -> Iterator[tuple[Link, Link]]:
    left, right = socket.socketpair()
    pair = Link(left.detach()), Link(right.detach())
    yield pair
    for end in pair:
        end.close()


def test_frames_arrive_in_order_with_kind_and_number(ends: tuple[Link, Link]) -> None:
    left, right = ends
    for seq in range(3):
        left.post(7, seq, [b"a" * seq, b"", b"b"])
    assert right.take() is None
    left.finish()
    frames = [right.receive(1.0) for _ in range(3)]
    assert [(frame.kind, frame.seq, bytes(frame.body)) for frame in frames if frame] == [
        (7, 0, b"b"),
        (7, 1, b"ab"),
        (7, 2, b"aab"),
    ]
    assert right.receive(0) is None


@pytest.mark.parametrize("size", [0, 1, (1 << 18) - 24, (1 << 18) - 23, 1 << 18, 3_000_001])
def test_a_body_of_any_size_arrives_between_small_ones(ends: tuple[Link, Link], size: int) -> None:
    left, right = ends
    body = os.urandom(size)
    sender = threading.Thread(target=lambda: [left.send(1, seq, [part]) for seq, part in enumerate([b"x", body, b"y"])])
    sender.start()
    frames = [right.receive(5.0) for _ in range(3)]
    sender.join()
    assert [bytes(frame.body) for frame in frames if frame] == [b"x", body, b"y"]


def test_large_bodies_both_ways_do_not_block_each_other(ends: tuple[Link, Link]) -> None:
    """The engine's side writes what fits and reads meanwhile; the rank's side just sends, then reads."""
    engine, rank = ends
    body = bytes(40_000_000)
    got: list[int] = []

    def answer() -> None:
        rank.send(2, 1, [body])
        frame = rank.receive(10.0)
        got.append(len(frame.body) if frame else -1)

    thread = threading.Thread(target=answer)
    thread.start()
    engine.post(1, 1, [body])
    back = None
    deadline = time.monotonic() + 10
    while (not engine.flush() or back is None) and time.monotonic() < deadline:
        engine.pull()
        back = back or engine.pop()
    thread.join(10)
    assert back is not None
    assert len(back.body) == len(body)
    assert got == [len(body)]


def test_two_threads_may_send(ends: tuple[Link, Link]) -> None:
    left, right = ends
    count, body = 200, b"z" * 5000
    threads = [
        threading.Thread(target=lambda kind=kind: [left.send(kind, seq, [body]) for seq in range(count)])
        for kind in (1, 2)
    ]
    for thread in threads:
        thread.start()
    seen: dict[int, list[int]] = {1: [], 2: []}
    for _ in range(2 * count):
        frame = right.receive(5.0)
        assert frame is not None
        assert len(frame.body) == len(body)
        seen[frame.kind].append(frame.seq)
    for thread in threads:
        thread.join()
    assert seen == {1: list(range(count)), 2: list(range(count))}


def test_the_end_comes_after_the_last_frame(ends: tuple[Link, Link]) -> None:
    left, right = ends
    left.send(1, 1, [b"last words"])
    left.close()
    frame = right.receive(1.0)
    assert frame is not None
    assert bytes(frame.body) == b"last words"
    with pytest.raises(LinkClosed):
        right.receive(1.0)
    with pytest.raises(LinkClosed):
        right.send(1, 2, [b"anybody?"])


def test_an_end_with_unread_frames_is_an_end_all_the_same(ends: tuple[Link, Link]) -> None:
    left, right = ends
    right.send(1, 1, [b"never read"])
    left.close()
    with pytest.raises(LinkClosed):
        right.receive(1.0)


def test_a_waiting_reader_hears_of_the_end_at_once(ends: tuple[Link, Link]) -> None:
    left, right = ends
    heard = threading.Event()

    def wait() -> None:
        with pytest.raises(LinkClosed):
            right.receive(None)
        heard.set()

    threading.Thread(target=wait, daemon=True).start()
    left.close()
    assert heard.wait(1.0)


def test_a_timeout_is_kept_with_and_without_spinning(ends: tuple[Link, Link]) -> None:
    _, right = ends
    for spin in (0.0, 0.01, 1.0):
        start = time.monotonic()
        assert right.receive(0.05, spin) is None
        assert 0.04 < time.monotonic() - start < 0.5


def test_a_closed_end_is_not_inherited_and_spinning_needs_cores() -> None:
    left, right = socket.socketpair()
    link = Link(left.detach())
    assert not os.get_inheritable(link.fileno())
    link.close()
    right.close()
    cores = len(os.sched_getaffinity(0))
    assert spin_s(cores) == 0
    assert spin_s(cores - 1) > 0
