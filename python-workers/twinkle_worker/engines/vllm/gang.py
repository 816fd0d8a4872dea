"""The engine process's side of the links: a call to every rank, its answers by sequence number, and the loss of a rank. Knows no vLLM.

For one thread. Whatever it waits for, it reads all links: no rank can be stuck on an answer, and a death is noticed at once.
"""

from __future__ import annotations

import logging
import select
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any

from .frames import ANSWER, CALL, FAILED, GOODBYE, STARTED, STEP_METHODS
from .link import Buffer, Frame, Link, LinkClosed, spin_s
from .payload import decode, encode

log = logging.getLogger(__name__)

_TICK_S = 1.0
_GOODBYE_S = 1.0
_LET_GO = "the engine has let its ranks go"

OnWait = Callable[[str, list[int], float], None]
"""``on_wait(method, ranks that owe an answer, seconds)``, about once a second while a call is waited for."""


class RankFailed(RuntimeError):
    """A rank raised in a call; it lives and takes further calls.

    kind: type name of the exception there. remote_traceback: its text, also a note of this exception.
    """

    def __init__(self, rank: int, method: str, kind: str, message: str, remote_traceback: str) -> None:
        super().__init__(f"rank {rank} failed in {method}: {kind}: {message}")
        self.rank, self.kind, self.remote_traceback = rank, kind, remote_traceback
        self.add_note(f"On rank {rank}:\n{remote_traceback}")


class RankLost(RuntimeError):
    """The process of a rank is gone, and with it the gang."""

    def __init__(self, rank: int) -> None:
        super().__init__(f"rank {rank} is gone: its process ended or closed its link to the engine")
        self.rank = rank


class Call(Future[Any]):
    """Answers to come. ``result`` turns the links until they are there, in any order of calls."""

    def __init__(
        self, gang: Gang, seq: int, method: str, ranks: Sequence[int], finish: Callable[[list[Any]], Any]
    ) -> None:
        super().__init__()
        self.seq, self.method, self.ranks = seq, method, ranks
        self.missing = set(ranks)
        self.answers: dict[int, Any] = {}
        self.finish = finish
        self.deadline: float | None = None
        self._gang = gang

    def done(self) -> bool:
        """Whether the answers are there; looks into the links."""
        if not super().done():
            self._gang.turn(0.0)
        return super().done()

    def result(self, timeout: float | None = None) -> Any:
        """What ``finish`` made of the answers. Raises RankFailed, RankLost, TimeoutError."""
        if not super().done():
            self._gang.wait(self, timeout)
        return super().result(0)


class Gang:
    """All links of an engine process."""

    def __init__(self, fds: Sequence[int], on_wait: OnWait | None = None) -> None:
        """fds: one connected socket a rank, in rank order."""
        self.on_wait = on_wait
        self.on_lost: Callable[[], None] | None = None
        self.lost: RankLost | None = None
        self._links = [Link(fd) for fd in fds]
        self._rank_of = {link.fileno(): rank for rank, link in enumerate(self._links)}
        self._spin_s = spin_s(len(fds) + 1)
        self._poll = select.poll()
        for link in self._links:
            self._poll.register(link.fileno(), select.POLLIN)
        self._calls: dict[int, Call] = {}
        self._seq = 0
        self._gone: set[int] = set()
        self._open = True

    def __len__(self) -> int:
        return len(self._links)

    def call(
        self,
        method: str | bytes,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
        ranks: Sequence[int] | None = None,
        finish: Callable[[list[Any]], Any] = list,
        timeout_s: float | None = None,
    ) -> Call:
        """Have every rank run ``method``: of its worker by name, or a function of the worker as cloudpickle bytes.

        ranks: whose answers to wait for; None: all. An exception on any rank is the call's, asked or not.
        finish: makes the result of the answers, which come in the order of ``ranks``.
        timeout_s: from now. Raises RankLost.
        """
        self._check()
        answering = range(len(self)) if ranks is None else ranks
        body = encode((method, args, kwargs or {}, None if ranks is None else tuple(ranks)))
        self._seq += 1
        call = Call(self, self._seq, method if isinstance(method, str) else "a function", answering, finish)
        call.deadline = None if timeout_s is None else time.monotonic() + timeout_s
        self._calls[call.seq] = call
        self._broadcast(CALL, call.seq, body)
        return call

    def wait(self, call: Call, timeout_s: float | None = None) -> None:
        """Until ``call`` is done. Raises TimeoutError after ``timeout_s`` or at the call's own deadline, and forgets the call."""
        awake = time.perf_counter() + self._spin_s
        while not Future.done(call) and time.perf_counter() < awake:
            self.turn(0.0)
        if Future.done(call):
            return
        deadline = call.deadline
        if timeout_s is not None:
            deadline = min(time.monotonic() + timeout_s, deadline or float("inf"))
        if not self._turn_until(lambda: Future.done(call), call.method, lambda: sorted(call.missing), deadline):
            self._calls.pop(call.seq, None)
            late = ", ".join(map(str, sorted(call.missing)))
            raise TimeoutError(f"rank {late} did not answer {call.method} in time; a later answer is dropped")

    def _turn_until(
        self, done: Callable[[], bool], method: str, ranks: Callable[[], list[int]], deadline: float | None
    ) -> bool:
        """Turn until ``done``, telling about the wait; False at the deadline."""
        start = ticked = time.monotonic()
        while not done():
            now = time.monotonic()
            if deadline is not None and now >= deadline:
                return False
            if now - ticked >= _TICK_S:
                ticked = now
                if self.on_wait is not None:
                    self.on_wait(method, ranks(), now - start)
            self.turn(min(deadline or float("inf"), ticked + _TICK_S) - now)
        return True

    def turn(self, timeout_s: float) -> None:
        """Write what waits, read what came, resolve what is complete; waits at most ``timeout_s`` for something to happen."""
        for fd, events in self._poll.poll(max(0.0, timeout_s) * 1000):
            rank = self._rank_of[fd]
            link = self._links[rank]
            if events & select.POLLOUT:
                self._flush(rank, link)
            if events & ~select.POLLOUT:
                link.pull()
                self._drain(rank, link)

    def check(self) -> None:
        """Look for deaths without asking anybody. Raises RankLost."""
        self._check()
        self.turn(0.0)
        self._check()

    def started(self) -> None:
        """Tell the ranks that the start is over."""
        self._broadcast(STARTED, 0, ())

    def close(self) -> None:
        """Let the ranks go: a goodbye, and the end of the links. Calls under way fail."""
        if not self._open:
            return
        self._open = False
        if self.lost is None:
            self._broadcast(GOODBYE, 0, (), time.monotonic() + _GOODBYE_S)
        for link in self._links:
            link.close()
        self._fail_all(RuntimeError(_LET_GO))

    def _check(self) -> None:
        if self.lost is not None:
            raise self.lost
        if not self._open:
            raise RuntimeError(_LET_GO)

    def _broadcast(self, kind: int, seq: int, body: Sequence[Buffer], deadline: float | None = None) -> None:
        for rank, link in enumerate(self._links):
            link.post(kind, seq, body)
            self._flush(rank, link)
        # What did not fit into the sockets borrows memory of the caller: it must be out before the call returns.
        self._turn_until(lambda: not self._unsent(), "a call", self._unsent, deadline)

    def _unsent(self) -> list[int]:
        return [] if self.lost is not None else [rank for rank, link in enumerate(self._links) if link.waits]

    def _flush(self, rank: int, link: Link) -> None:
        try:
            out = link.flush()
        except LinkClosed:
            link.pull()
            self._drain(rank, link)  # its last words, then its loss
            return
        self._poll.modify(link.fileno(), select.POLLIN if out else select.POLLIN | select.POLLOUT)

    def _drain(self, rank: int, link: Link) -> None:
        while (frame := link.pop()) is not None:
            self._receive(rank, frame)
        if link.closed:
            self._lose(rank, link)

    def _receive(self, rank: int, frame: Frame) -> None:
        call = self._calls.get(frame.seq)
        if call is None:
            return  # of a call that failed or timed out
        try:
            value = decode(frame.body)
        except Exception as error:  # a class that only the rank has: this call's trouble alone
            self._end(
                call, RankFailed(rank, call.method, type(error).__name__, f"its answer cannot be read: {error}", "")
            )
            return
        if frame.kind == FAILED:
            self._end(call, RankFailed(rank, call.method, *value))
        elif frame.kind == ANSWER and rank in call.missing:
            call.missing.discard(rank)
            call.answers[rank] = value
            if not call.missing:
                self._end(call, None)

    def _end(self, call: Call, error: Exception | None) -> None:
        del self._calls[call.seq]
        if error is None:
            try:
                call.set_result(call.finish([call.answers[rank] for rank in call.ranks]))
            except Exception as trouble:
                call.set_exception(trouble)
            return
        call.set_exception(error)
        if call.method in STEP_METHODS:
            # What is under way was scheduled on top of the step that failed; its answers would belong to nothing.
            for other in [other for other in self._calls.values() if other.method in STEP_METHODS]:
                del self._calls[other.seq]
                other.set_exception(error)

    def _lose(self, rank: int, link: Link) -> None:
        if rank in self._gone:
            return
        self._gone.add(rank)
        self._poll.unregister(link.fileno())
        link.discard()
        if self.lost is not None:
            return
        self.lost = RankLost(rank)
        if not self._open:  # at the end of a gang any order will do
            return
        log.error("%s", self.lost)
        self._fail_all(self.lost)
        if self.on_lost is not None:
            self.on_lost()

    def _fail_all(self, error: Exception) -> None:
        calls, self._calls = self._calls, {}
        for call in calls.values():
            call.set_exception(error)
