"""Actors that end on purpose: ``exit_actor()``."""

from __future__ import annotations

import asyncio
import atexit
import os
import threading
from pathlib import Path
from typing import Any

import pytest
from actors_support import alive, eventually

import twinkle_node as tn

pytestmark = pytest.mark.usefixtures("everything_free")


class Leaves:
    def __init__(self, traces: str = "") -> None:
        self.traces = traces
        if traces:
            atexit.register(Path(traces, "atexit").touch)

    def pid(self) -> int:
        return os.getpid()

    def leave(self) -> Any:
        try:
            tn.exit_actor()
        except Exception:
            Path(self.traces, "swallowed").touch()
        finally:
            if self.traces:
                Path(self.traces, "finally").touch()

    def wait(self) -> Any:
        threading.Event().wait()


class LeavesLater(Leaves):
    async def leave(self) -> None:
        await asyncio.sleep(0)
        tn.exit_actor()

    async def leave_within(self) -> None:
        async def within() -> None:
            tn.exit_actor()

        await asyncio.gather(within(), asyncio.sleep(600))

    async def wait(self) -> None:
        await asyncio.sleep(600)


KINDS: list[Any] = [tn.remote(Leaves), tn.remote(max_concurrency=4)(Leaves), tn.remote(LeavesLater)]


def dies(ref: Any) -> None:
    with pytest.raises(tn.ActorDiedError, match=r"exited by exit_actor\(\)"):
        tn.get(ref, timeout=10)


@pytest.mark.parametrize("kind", KINDS, ids=["serial", "threads", "coroutines"])
def test_it_ends_and_is_not_started_again(kind: Any, tmp_path: Path) -> None:
    actor = kind.options(max_restarts=-1, max_task_retries=-1, num_gpus=1, name="leaves").remote(str(tmp_path))
    pid = tn.get(actor.pid.remote())
    others = [] if kind is KINDS[0] else [actor.wait.remote()]
    answered = actor.pid.remote()
    leaving = actor.leave.remote()
    behind = [actor.wait.remote() for _ in range(3)]
    for ref in (leaving, *others, *behind):
        dies(ref)
    dies(actor.pid.remote())
    if kind is KINDS[0]:
        assert tn.get(answered) == pid
        assert {path.name for path in tmp_path.iterdir()} == {"atexit", "finally"}
    eventually(lambda: not alive(pid))
    with pytest.raises(tn.TwinkleError):
        tn.get_actor("leaves")


def test_it_ends_from_a_coroutine_that_a_call_has_started() -> None:
    actor = KINDS[2].options(max_restarts=-1).remote()
    waiting = actor.wait.remote()
    dies(actor.leave_within.remote())
    dies(waiting)


def test_it_ends_in_its_constructor() -> None:
    @tn.remote(max_restarts=3)
    class Never:
        def __init__(self) -> None:
            tn.exit_actor()

        def ask(self) -> None: ...

    dies(Never.remote().ask.remote())


def test_what_it_has_answered_before_counts() -> None:
    actor = KINDS[0].remote()
    answers = [actor.pid.remote() for _ in range(100)]
    dies(actor.leave.remote())
    assert len(set(tn.get(answers, timeout=10))) == 1


def test_outside_of_an_actor_it_is_refused() -> None:
    @tn.remote
    def task() -> None:
        tn.exit_actor()

    with pytest.raises(tn.TwinkleError, match="code of an actor"):
        tn.exit_actor()
    with pytest.raises(tn.TwinkleError, match="code of an actor"):
        tn.get(task.remote(), timeout=10)
