"""The engine's side of a gang, with threads for ranks: answers find their calls, failures and losses name their rank."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

pytest.importorskip("torch")

from twinkle_worker.engines.vllm import gang as gang_module
from twinkle_worker.engines.vllm.frames import ANSWER, CALL, FAILED, GOODBYE, STARTED
from twinkle_worker.engines.vllm.gang import Gang, RankFailed, RankLost
from twinkle_worker.engines.vllm.link import Frame, Link, LinkClosed
from twinkle_worker.engines.vllm.payload import decode, encode


class Rank(threading.Thread):
    """Answers ``echo`` with (rank, arguments), raises in ``fail``, waits in ``hang`` until released, ends in ``die1`` if it is rank 1."""

    def __init__(self, rank: int, link: Link) -> None:
        super().__init__(daemon=True)
        self.rank, self.link = rank, link
        self.release = threading.Event()
        self.kinds: list[int] = []
        self.calls: list[str] = []

    def run(self) -> None:
        try:
            while (frame := self.link.receive(None)) is not None:
                self.kinds.append(frame.kind)
                if frame.kind == CALL:
                    self.answer(frame)
        except LinkClosed:
            self.link.close()

    def answer(self, frame: Frame) -> None:
        method, args, kwargs, ranks = decode(frame.body)
        self.calls.append(method)
        if method.startswith("die") and method.endswith(str(self.rank)):
            self.link.close()
            raise LinkClosed
        if method in ("hang", f"hang{self.rank}"):
            self.release.wait(10)
        if method == "fail" or (method == "execute_model" and args == ("bad",)):
            self.link.send(FAILED, frame.seq, encode(("ValueError", f"no luck on {self.rank}", "Traceback: line 1")))
        elif ranks is None or self.rank in ranks:
            self.link.send(ANSWER, frame.seq, encode((self.rank, *args, *kwargs.values())))


@pytest.fixture
def make() -> Iterator[Callable[..., tuple[Gang, list[Rank]]]]:
    made: list[tuple[Gang, list[Rank]]] = []

    def make(size: int, **options: Any) -> tuple[Gang, list[Rank]]:
        pairs = [socket.socketpair() for _ in range(size)]
        ranks = [Rank(rank, Link(theirs.detach())) for rank, (_, theirs) in enumerate(pairs)]
        for rank in ranks:
            rank.start()
        made.append((Gang([ours.detach() for ours, _ in pairs], **options), ranks))
        return made[-1]

    yield make
    for gang, ranks in made:
        for rank in ranks:
            rank.release.set()
        gang.close()
        for rank in ranks:
            rank.join(5)


Make = Callable[..., tuple[Gang, list[Rank]]]


def test_answers_come_in_rank_order_or_from_one_rank(make: Make) -> None:
    gang, _ = make(3)
    assert gang.call("echo", (1,), {"b": 2}).result() == [(0, 1, 2), (1, 1, 2), (2, 1, 2)]
    assert gang.call("echo", ranks=(2,), finish=lambda answers: answers[0]).result() == (2,)


def test_calls_resolve_in_any_order(make: Make) -> None:
    gang, _ = make(2)
    calls = [gang.call("echo", (number,)) for number in range(20)]
    for number in (19, 3, 0, 11):
        assert calls[number].result() == [(0, number), (1, number)]
    assert [call.result()[0][1] for call in calls] == list(range(20))


def test_a_failed_call_leaves_the_next_one_alone(make: Make) -> None:
    gang, _ = make(3)
    for _ in range(3):
        with pytest.raises(RankFailed, match=r"rank \d failed in fail: ValueError: no luck on \d") as caught:
            gang.call("fail").result()
        assert "Traceback: line 1" in "".join(caught.value.__notes__)
        assert gang.call("echo", ("next",)).result() == [(0, "next"), (1, "next"), (2, "next")]


def test_a_rank_that_was_not_asked_may_fail_the_call(make: Make) -> None:
    gang, _ = make(2)
    with pytest.raises(RankFailed):
        gang.call("fail", ranks=(0,), finish=lambda answers: answers[0]).result()


def test_a_failed_step_fails_what_was_scheduled_on_top_of_it(make: Make) -> None:
    gang, _ = make(2)
    first = gang.call("execute_model", ("bad",), ranks=(0,))
    second = gang.call("sample_tokens", ("empty",), ranks=(0,))
    with pytest.raises(RankFailed, match="execute_model"):
        second.result()
    with pytest.raises(RankFailed, match="execute_model"):
        first.result()
    assert gang.call("execute_model", ("good",), ranks=(1,)).result() == [(1, "good")]


def test_a_late_answer_reaches_no_other_call(make: Make) -> None:
    gang, ranks = make(2)
    call = gang.call("hang", timeout_s=0.05)
    with pytest.raises(TimeoutError, match="rank 0, 1 did not answer hang"):
        call.result()
    for rank in ranks:
        rank.release.set()
    assert gang.call("echo", ("fresh",)).result() == [(0, "fresh"), (1, "fresh")]


def test_a_death_is_told_while_another_rank_is_waited_for(make: Make) -> None:
    gang, ranks = make(2)
    told: list[bool] = []
    gang.on_lost = lambda: told.append(True)
    waiting = gang.call("hang0", ranks=(0,))
    call = gang.call("die1")
    start = time.monotonic()
    with pytest.raises(RankLost, match="rank 1 is gone"):
        call.result()
    assert time.monotonic() - start < 1
    with pytest.raises(RankLost, match="rank 1 is gone"):
        waiting.result()
    for use in (lambda: gang.call("echo"), gang.check):
        with pytest.raises(RankLost, match="rank 1 is gone"):
            use()
    assert told == [True]
    ranks[0].release.set()


def test_large_calls_and_answers(make: Make) -> None:
    """More than the sockets hold, in flight both ways and to several ranks at once."""
    gang, _ = make(3)
    body = bytes(20_000_000)
    calls = [gang.call("echo", (number, body)) for number in range(3)]
    for number, call in enumerate(calls):
        assert [(rank, at, len(back)) for rank, at, back in call.result()] == [
            (rank, number, len(body)) for rank in range(3)
        ]


def test_a_wait_is_reported_with_who_is_waited_for(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gang_module, "_TICK_S", 0.02)
    seen: list[tuple[str, list[int]]] = []
    gang, ranks = make(
        2, on_wait=lambda method, owing, seconds: (seen.append((method, owing)), ranks[len(seen) % 2].release.set())
    )
    gang.call("hang").result()
    assert seen[0] == ("hang", [0, 1])
    assert seen[1] == ("hang", [0])


def test_a_goodbye_is_said_before_the_end(make: Make) -> None:
    gang, ranks = make(2)
    gang.started()
    gang.close()
    for rank in ranks:
        rank.join(5)
        assert rank.kinds == [STARTED, GOODBYE]
    with pytest.raises(RuntimeError, match="let its ranks go"):
        gang.call("echo")
