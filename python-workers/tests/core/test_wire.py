"""Frames: whole, in pieces, huge, and none at all."""

from __future__ import annotations

import itertools
import random

import msgspec
import pytest

from twinkle_node.core import wire
from twinkle_node.core.protocol import Kept
from twinkle_node.core.wire import LENGTHS, BrokenFrame, FrameReader, frame
from twinkle_node.errors import TwinkleError


def cut(data: bytes, *places: int) -> list[bytes]:
    ends = [0, *places, len(data)]
    return [data[begin:end] for begin, end in itertools.pairwise(ends)]


def read(chunks: list[bytes]) -> list[tuple[int, bytes]]:
    reader = FrameReader()
    return [
        (msgspec.msgpack.decode(head, type=Kept).id, bytes(body)) for data in chunks for head, body in reader.feed(data)
    ]


FRAMES = [(0, b""), (1, b"x"), (2, b"abc" * 30), (3, b"")]
STREAM = b"".join(frame(Kept(number), [body]) for number, body in FRAMES)


def test_frames_cut_at_every_byte_are_the_same() -> None:
    for at in range(len(STREAM) + 1):
        assert read(cut(STREAM, at)) == FRAMES


def test_frames_cut_at_every_two_bytes_are_the_same() -> None:
    for first in range(0, len(STREAM), 3):
        for second in range(first, len(STREAM)):
            assert read(cut(STREAM, first, second)) == FRAMES


def test_frames_come_byte_by_byte() -> None:
    assert read([bytes([one]) for one in STREAM]) == FRAMES


def test_huge_frames_in_chunks_of_any_size_are_put_together() -> None:
    seeded = random.Random(5)
    body = seeded.randbytes(9_000_000)
    data = frame(Kept(1), [body]) + frame(Kept(2), [b"after"])
    for chunk in (1000, 1 << 18, len(data)):
        places = range(chunk, len(data), chunk)
        assert read(cut(data, *places)) == [(1, body), (2, b"after")]


def test_the_body_may_have_parts_of_any_kind() -> None:
    body = [b"a", bytearray(b"b"), memoryview(b"cdef")[1:3], memoryview(bytes(8)).cast("d")]
    assert read([frame(Kept(1), body)]) == [(1, b"abde" + bytes(8))]


@pytest.mark.parametrize(
    ("size", "head"),
    [(0, 0), (3, 0), (4, 1), (100, 97), (wire.LARGEST + 1, 4), (0xFFFFFFFF, 0xFFFFFFFF), (10, 0xFFFFFFFF)],
)
def test_lengths_that_cannot_be_are_refused(size: int, head: int) -> None:
    with pytest.raises(BrokenFrame, match=str(size)):
        FrameReader().feed(LENGTHS.pack(size, head))


def test_what_is_no_frame_at_all_is_refused() -> None:
    with pytest.raises(BrokenFrame):
        FrameReader().feed(b"GET / HTTP/1.1\r\n\r\n")


def test_a_frame_that_nobody_would_take_is_not_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "LARGEST", 1000)
    with pytest.raises(TwinkleError, match="1000 bytes") as raised:
        frame(Kept(1), [bytes(1000)])
    assert raised.value.code == "BODY_TOO_LARGE"
