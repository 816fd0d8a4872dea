"""A worker's side of the connection with one caller."""

from __future__ import annotations

import socket
from collections import deque
from typing import Any

from twinkle_node.core.protocol import Kept
from twinkle_node.core.wire import frame
from twinkle_node.core.worker import Caller


class Host:
    """What a caller needs of its worker."""

    def want_write(self, fd: int, wanted: bool) -> None:
        raise AssertionError("nothing is sent")

    def caller_gone(self, caller: Caller) -> None:
        pass


def test_references_of_each_reply_are_let_go_when_that_reply_is_kept() -> None:
    host: Any = Host()
    ours, theirs = socket.socketpair()
    with theirs:
        caller = Caller(ours, host)
        caller.custody[3] = deque(["of the first item", "of the second"])
        for left in (["of the second"], []):
            theirs.sendall(frame(Kept(3)))
            caller.stream.readable()
            assert list(caller.custody.get(3, ())) == left
        assert caller.custody == {}
        theirs.sendall(frame(Kept(3)))  # once too often
        caller.stream.readable()
        caller.stream.end("the test is over")
