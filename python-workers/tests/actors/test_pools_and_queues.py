"""``twinkle_node.util``: pools of actors, and queues between processes."""

from __future__ import annotations

import asyncio
import os
import queue
import time
from pathlib import Path
from typing import Any

import pytest
from actors_support import eventually

import twinkle_node as tn
from twinkle_node.util import ActorPool
from twinkle_node.util.queue import Empty, Full, Queue

pytestmark = pytest.mark.usefixtures("everything_free")


@tn.remote
class Doubles:
    def double(self, value: int) -> int:
        return 2 * value

    def when(self, gate: str, value: int) -> int:
        while not os.path.exists(gate):
            time.sleep(0.005)
        return value

    def fail(self, value: int) -> int:
        raise ValueError(value)

    @tn.method(num_returns=2)
    def both(self, value: int) -> tuple[int, int]:
        return value, -value


def double(actor: Any, value: int) -> Any:
    return actor.double.remote(value)


def test_a_pool_maps_in_order() -> None:
    pool = ActorPool([Doubles.remote() for _ in range(2)])
    assert list(pool.map(double, range(10))) == [2 * at for at in range(10)]
    assert sorted(pool.map_unordered(double, range(10))) == [2 * at for at in range(10)]
    assert list(pool.map(lambda actor, value: actor.both.remote(value), [1, 2, 3])) == [[1, -1], [2, -2], [3, -3]]
    assert not pool.has_next()
    assert pool.has_free()


def test_what_is_there_comes_first_when_order_does_not_matter(tmp_path: Path) -> None:
    pool = ActorPool([Doubles.remote() for _ in range(2)])
    gate = tmp_path / "gate"
    pool.submit(lambda actor, value: actor.when.remote(str(gate), value), 1)
    for at in (2, 3, 4):
        pool.submit(double, at)
    assert not pool.has_free()
    assert [pool.get_next_unordered(timeout=10) for _ in range(3)] == [4, 6, 8]
    with pytest.raises(TimeoutError):
        pool.get_next_unordered(timeout=0.05)
    with pytest.raises(TimeoutError):
        pool.get_next(timeout=0.05)
    gate.touch()
    assert pool.get_next(timeout=10) == 1
    for take in (pool.get_next, pool.get_next_unordered):
        with pytest.raises(StopIteration):
            take()


def test_a_result_that_is_late_can_be_thrown_away(tmp_path: Path) -> None:
    pool = ActorPool([Doubles.remote()])
    gate = tmp_path / "gate"
    pool.submit(lambda actor, value: actor.when.remote(str(gate), value), 1)
    pool.submit(double, 2)
    with pytest.raises(TimeoutError, match="thrown away"):
        pool.get_next(timeout=0.05, ignore_if_timedout=True)
    gate.touch()
    assert pool.get_next(timeout=10) == 4
    pool.submit(double, 3)
    assert list(pool.map(double, [5])) == [10]


def test_an_error_leaves_the_actor_in_the_pool() -> None:
    pool = ActorPool([Doubles.remote()])
    pool.submit(lambda actor, value: actor.fail.remote(value), 1)
    pool.submit(double, 2)
    with pytest.raises(ValueError, match="1"):
        pool.get_next(timeout=10)
    assert pool.get_next(timeout=10) == 4


def test_actors_come_and_go() -> None:
    first, second = Doubles.remote(), Doubles.remote()
    pool = ActorPool([first])
    with pytest.raises(ValueError, match="in the pool"):
        pool.push(first)
    assert pool.pop_idle() == first
    assert pool.pop_idle() is None
    pool.submit(double, 1)
    assert not pool.has_next()
    pool.push(second)
    with pytest.raises(ValueError, match="in the pool"):
        pool.push(second)
    assert pool.get_next(timeout=10) == 2


def test_a_queue_keeps_order_between_processes() -> None:
    items = Queue()

    @tn.remote
    def puts(items: Queue, upto: int) -> None:
        for at in range(upto):
            items.put(at)

    puts.remote(items, 50)
    assert [items.get(timeout=10) for _ in range(50)] == list(range(50))
    assert (items.empty(), items.full(), len(items), items.qsize()) == (True, False, 0, 0)
    items.shutdown()
    items.shutdown()


def test_a_queue_that_is_full_or_empty() -> None:
    items = Queue(maxsize=2, actor_options={"num_cpus": 1})
    with pytest.raises(Empty):
        items.get_nowait()
    with pytest.raises(queue.Empty):
        items.get(timeout=0.05)
    items.put_nowait(1)
    with pytest.raises(Full):
        items.put_nowait_batch([2, 3])
    items.put(2)
    assert items.full()
    for put in (lambda: items.put_nowait(3), lambda: items.put(3, timeout=0.05)):
        with pytest.raises(queue.Full):
            put()
    for wrong in (lambda: items.put(3, timeout=-1), lambda: items.get(timeout=-1), lambda: items.get_nowait_batch(-1)):
        with pytest.raises(ValueError, match="≥ 0"):
            wrong()
    with pytest.raises(TypeError):
        items.put_nowait_batch("ab")
    with pytest.raises(Empty):
        items.get_nowait_batch(3)
    assert items.get_nowait_batch(2) == [1, 2]
    items.put_nowait_batch([3, 4])
    assert items.get_nowait() == 3
    items.shutdown(force=True)


def test_who_waits_gets_what_comes_later() -> None:
    items = Queue(maxsize=1)

    @tn.remote
    def gets(items: Queue) -> Any:
        return items.get()

    got = gets.remote(items)
    items.put("first")
    assert tn.get(got, timeout=10) == "first"

    async def both() -> list[Any]:
        await items.put_async(1)
        putting = asyncio.create_task(items.put_async(2))
        return [await items.get_async(), await items.get_async(), await putting]

    assert asyncio.run(both()) == [1, 2, None]
    actor = items.actor
    items.shutdown()
    with pytest.raises(tn.ActorDiedError):
        eventually(lambda: tn.get(actor.size.remote()) is None)
