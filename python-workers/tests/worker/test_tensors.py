"""Segments: descriptors that arrive over a socket, views without a copy, refusals that say why."""

from __future__ import annotations

import array
import json
import os
import socket
from collections.abc import Iterator

import pytest

from twinkle_worker.engines.base import RequestError
from twinkle_worker.protocol import TensorHandle
from twinkle_worker.tensors import Segments


@pytest.fixture
def passed() -> Iterator[tuple[Segments, socket.socket, int]]:
    ours, theirs = socket.socketpair()
    fd = os.memfd_create("test")
    os.ftruncate(fd, 4096)
    segments = Segments(theirs.detach())
    yield segments, ours, fd
    segments.close()
    ours.close()
    os.close(fd)


def send(ours: socket.socket, name: str, fd: int) -> None:
    socket.send_fds(ours, [json.dumps({"segment": name}).encode() + b"\n"], [fd])


def test_a_tensor_is_seen_without_a_copy(passed: tuple[Segments, socket.socket, int]) -> None:
    segments, ours, fd = passed
    send(ours, "other", fd)
    send(ours, "s", fd)
    segments.attach("s", 4096)
    handle = TensorHandle("s", 64, "float32", [2, 3])
    os.pwrite(fd, array.array("f", [1.5, 2, 3, 4, 5, -6.25]).tobytes(), 64)
    seen = segments.summary(handle)
    assert (seen.bytes, seen.first, seen.last) == (24, 1.5, -6.25)
    os.pwrite(fd, array.array("f", [9.0]).tobytes(), 64)
    assert segments.summary(handle).first == 9.0


def test_bfloat16_is_read_as_a_number(passed: tuple[Segments, socket.socket, int]) -> None:
    segments, ours, fd = passed
    send(ours, "s", fd)
    segments.attach("s", 4096)
    os.pwrite(fd, b"\x80\x3f\x00\xc0", 0)
    seen = segments.summary(TensorHandle("s", 0, "bfloat16", [2]))
    assert (seen.first, seen.last) == (1.0, -2.0)


@pytest.mark.parametrize(
    ("handle", "words"),
    [
        (TensorHandle("none", 0, "uint8", [1]), "not attached"),
        (TensorHandle("s", 0, "complex", [1]), "unknown dtype"),
        (TensorHandle("s", 4095, "uint8", [2]), "ends at byte 4097"),
        (TensorHandle("s", -1, "uint8", [1]), "negative"),
    ],
)
def test_bad_handles_are_refused(passed: tuple[Segments, socket.socket, int], handle: TensorHandle, words: str) -> None:
    segments, ours, fd = passed
    send(ours, "s", fd)
    segments.attach("s", 4096)
    with pytest.raises(RequestError, match=words):
        segments.summary(handle)


def test_a_descriptor_that_never_comes_is_an_error(passed: tuple[Segments, socket.socket, int]) -> None:
    segments, ours, _ = passed
    with pytest.raises(RequestError, match="no descriptor"):
        segments.attach("s", 4096, timeout_s=0.01)
    ours.shutdown(socket.SHUT_WR)
    with pytest.raises(RequestError, match="closed"):
        segments.attach("s", 4096)
