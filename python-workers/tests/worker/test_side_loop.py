"""The loop beside a synchronous one: turns that never block, budgets, threads, timers, and a clean end."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import AsyncIterator

import pytest

from twinkle_worker.engines.vllm.side_loop import SideLoop


def test_a_turn_runs_chains_of_ready_callbacks_and_then_comes_back(side: SideLoop) -> None:
    seen: list[str] = []

    async def child() -> str:
        await asyncio.sleep(0)
        seen.append("child")
        return "answer"

    async def parent() -> None:
        assert asyncio.get_running_loop() is side.loop
        seen.append(await asyncio.create_task(child()))
        await asyncio.Event().wait()

    task = side.loop.create_task(parent())
    assert seen == []
    assert side.turn() is False
    assert seen == ["child", "answer"]
    assert side.pending
    assert not task.done()


def test_it_is_the_running_loop_only_inside_a_turn(side: SideLoop) -> None:
    side.loop.create_task(asyncio.sleep(0))
    side.turn()
    with pytest.raises(RuntimeError):
        asyncio.get_running_loop()
    other = asyncio.new_event_loop()
    try:
        assert other.run_until_complete(asyncio.sleep(0, "other")) == "other"
    finally:
        other.close()


def test_nothing_is_pending_when_all_tasks_ended(side: SideLoop) -> None:
    async def fail() -> None:
        raise ValueError("on purpose")

    tasks = [side.loop.create_task(asyncio.sleep(0)), side.loop.create_task(fail())]
    assert side.pending
    side.turn()
    assert not side.pending
    assert isinstance(tasks[1].exception(), ValueError)


def test_an_event_set_between_two_turns_wakes_its_task(side: SideLoop) -> None:
    event = asyncio.Event()
    task = side.loop.create_task(event.wait())
    side.turn()
    event.set()
    side.turn()
    assert task.done()


def test_a_budget_ends_the_turn_of_tasks_that_never_rest(side: SideLoop) -> None:
    rounds = 0

    async def restless() -> None:
        nonlocal rounds
        while True:
            rounds += 1
            await asyncio.sleep(0)

    side.loop.create_task(restless())
    assert side.turn(budget_ms=2) is True
    first = rounds
    assert first > 1
    assert side.turn(budget_ms=0) is True
    assert rounds == first + 1


def test_a_turn_does_not_wait_for_a_thread_and_wait_does(side: SideLoop) -> None:
    release = threading.Event()
    task = side.loop.create_task(asyncio.to_thread(release.wait, 10))
    side.turn()
    assert not task.done()
    release.set()
    deadline = time.monotonic() + 5
    while side.pending and time.monotonic() < deadline:
        side.wait(1000)
    assert task.result() is True
    assert time.monotonic() < deadline


def test_wait_gives_up_after_its_time(side: SideLoop) -> None:
    side.loop.create_task(asyncio.Event().wait())
    side.turn()
    begun = time.monotonic()
    assert side.wait(20) is False
    assert 0.015 < time.monotonic() - begun < 1


def test_wait_returns_at_once_when_something_is_ready(side: SideLoop) -> None:
    begun = time.monotonic()
    task = side.loop.create_task(asyncio.sleep(0, "done"))
    side.wait(5000)
    assert task.result() == "done"
    assert time.monotonic() - begun < 1


def test_wait_ends_with_the_first_timer(side: SideLoop) -> None:
    task = side.loop.create_task(asyncio.sleep(0.01, "rang"))
    side.turn()
    begun = time.monotonic()
    while not task.done() and time.monotonic() - begun < 5:
        side.wait(5000)
    assert task.result() == "rang"
    assert time.monotonic() - begun < 1


def test_a_descriptor_of_somebody_else_ends_a_wait_and_is_left_alone(side: SideLoop) -> None:
    mine, theirs = os.pipe()
    try:
        begun = time.monotonic()
        side.wait(20, mine)
        assert time.monotonic() - begun > 0.015
        os.write(theirs, b"!")
        begun = time.monotonic()
        side.wait(5000, mine)
        assert time.monotonic() - begun < 1
        assert os.read(mine, 2) == b"!"
    finally:
        os.close(mine)
        os.close(theirs)


def test_call_soon_threadsafe_ends_a_wait(side: SideLoop) -> None:
    event = asyncio.Event()
    task = side.loop.create_task(event.wait())
    side.turn()
    thread = threading.Thread(target=side.loop.call_soon_threadsafe, args=(event.set,))
    thread.start()
    begun = time.monotonic()
    while not task.done() and time.monotonic() - begun < 5:
        side.wait(5000)
    thread.join()
    assert task.done()


def test_complete_returns_results_and_raises_errors(side: SideLoop) -> None:
    async def fail() -> None:
        await asyncio.to_thread(time.sleep, 0)
        raise KeyError("missing")

    assert side.complete(asyncio.sleep(0.001, 7)) == 7
    with pytest.raises(KeyError):
        side.complete(fail())


def test_close_lets_tasks_and_generators_clean_up() -> None:
    side = SideLoop()
    cleaned: list[str] = []

    async def numbers() -> AsyncIterator[int]:
        try:
            while True:
                yield 1
        finally:
            await asyncio.sleep(0)
            cleaned.append("generator")

    async def hold() -> None:
        try:
            async for _ in numbers():
                await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.001)
            cleaned.append("task")

    side.loop.create_task(hold())
    side.turn()
    side.close()
    side.close()
    assert sorted(cleaned) == ["generator", "task"]
    assert not side.pending


def test_turns_are_cheap() -> None:
    """Far above what it costs (50 ns with nothing open, 6 µs with a task that waits), to catch a turn that sleeps or polls."""
    side = SideLoop()
    begun = time.perf_counter()
    for _ in range(1000):
        side.turn()
    assert time.perf_counter() - begun < 0.05
    side.loop.create_task(asyncio.Event().wait())
    begun = time.perf_counter()
    for _ in range(1000):
        side.turn()
    assert time.perf_counter() - begun < 0.5
    side.close()
