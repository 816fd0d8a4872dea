"""The template's control loop, in this process: what it answers when it cannot fork."""

from __future__ import annotations

import json
import os
import socket
import threading
from typing import Any

import pytest

from twinkle_worker.template import Template

LAUNCH = {
    "instance": "i",
    "gang": "g",
    "epoch": 1,
    "rank": 0,
    "local_rank": 0,
    "world_size": 1,
    "role": "whole",
    "endpoint": "ipc://x",
    "curve": None,
    "identity": "id",
    "engine": "mock",
    "env": {},
    "death_fd": -1,
    "pass_fd": -1,
    "listen_fd": -1,
    "link_fds": [],
    "master_addr": "127.0.0.1",
    "master_port": 0,
}


class Sent:
    """The other ends of two descriptors that went with a request: they show whether the receiver still holds them."""

    def __init__(self, node: socket.socket, request: int) -> None:
        death, self._writer = os.pipe()
        self._reader, passed = os.pipe()
        line = json.dumps({"id": request, "launch": LAUNCH, "fds": ["death", "pass"]}).encode() + b"\n"
        socket.send_fds(node, [line], [death, passed])
        os.close(death)
        os.close(passed)

    def were_closed(self) -> bool:
        """Whether nobody holds either. Closes the own ends, too: to be asked once."""
        os.set_blocking(self._reader, False)
        try:
            os.write(self._writer, b"x")
        except BrokenPipeError:
            return os.read(self._reader, 1) == b""  # raises BlockingIOError while there is a writer
        else:
            return False
        finally:
            os.close(self._writer)
            os.close(self._reader)


def _answers(node: socket.socket, count: int) -> list[dict[str, Any]]:
    with node.makefile("r") as lines:
        return [json.loads(lines.readline()) for _ in range(count)]


def _no_processes() -> int:
    raise BlockingIOError(11, "Resource temporarily unavailable")


def test_a_fork_that_the_kernel_refuses_fails_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """The template lives on, says why, and keeps none of the descriptors that came with the request."""
    monkeypatch.setattr(threading, "active_count", lambda: 1)
    monkeypatch.setattr(os, "fork", _no_processes)
    node, control = socket.socketpair()
    with node:
        template = Template(control.detach(), -1, lambda _: 0)
        sent = [Sent(node, 7), Sent(node, 8)]
        node.shutdown(socket.SHUT_WR)
        template.run()
        answers = _answers(node, 2)
        assert [(answer["kind"], answer["id"]) for answer in answers] == [("failed", 7), ("failed", 8)]
        assert "temporarily unavailable" in answers[0]["detail"]
        assert [request.were_closed() for request in sent] == [True, True]


def test_a_template_with_threads_refuses_to_fork(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fork of a process with threads can hang in a lock that nobody will release."""
    monkeypatch.setattr(threading, "active_count", lambda: 2)
    node, control = socket.socketpair()
    with node:
        template = Template(control.detach(), -1, lambda _: 0)
        sent = Sent(node, 1)
        node.shutdown(socket.SHUT_WR)
        template.run()
        assert "2 threads" in _answers(node, 1)[0]["detail"]
        assert sent.were_closed()
