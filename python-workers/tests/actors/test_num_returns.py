"""Calls with several results: ``num_returns``."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from actors_support import alive, eventually, program, said, status

import twinkle_node as tn
from twinkle_node.core.api import ClusterInfo

LARGE = 400_000


def big(value: float) -> np.ndarray:
    return np.full(LARGE // 8, value)


@tn.remote
def split(*values: Any) -> tuple[Any, ...]:
    return values


@tn.remote
def bigs(count: int) -> list[np.ndarray]:
    return [big(at) for at in range(count)]


@tn.remote
def total(values: Any) -> float:
    return float(np.sum(values))


class Splits:
    @tn.method(num_returns=2)
    def pair(self, first: Any, second: Any) -> tuple[Any, Any]:
        return first, second

    def count(self, count: int) -> list[int]:
        return list(range(count))

    def pid(self) -> int:
        return os.getpid()


class SplitsSideBySide(Splits):
    async def later(self, count: int) -> list[int]:
        return list(range(count))

    @tn.method(num_returns=2)
    async def gives(self) -> AsyncIterator[int]:
        yield 1
        yield 2


ACTORS: list[Any] = [
    tn.remote(Splits),
    tn.remote(max_concurrency=3)(Splits),
    tn.remote(SplitsSideBySide),
]


def test_a_task_gives_so_many_references() -> None:
    refs = split.options(num_returns=3).remote(1, "two", [3])
    assert [type(ref) for ref in refs] == [tn.ObjectRef] * 3
    assert len({ref.id for ref in refs}) == 3
    assert tn.get(refs) == [1, "two", [3]]
    assert tn.get(split.options(num_returns=1).remote(1)) == (1,)


@pytest.mark.parametrize("actor", ACTORS, ids=["serial", "threads", "coroutines"])
def test_a_method_gives_so_many_references(actor: Any) -> None:
    made = actor.remote()
    first, second = made.pair.remote("a", big(2))
    assert tn.get(first) == "a"
    assert tn.get(second)[0] == 2
    assert tn.get(made.count.options(num_returns=4).remote(4)) == [0, 1, 2, 3]
    assert tn.get(made.count.remote(2)) == [0, 1]
    assert tn.get(made.pair.options(num_returns=1).remote(1, 2)) == (1, 2)


def test_a_coroutine_gives_so_many_references() -> None:
    made = ACTORS[2].remote()
    assert tn.get(made.later.options(num_returns=2).remote(2)) == [0, 1]
    assert tn.get(made.gives.remote()) == [1, 2]
    with pytest.raises(ValueError, match="num_returns=3"):
        tn.get(made.gives.options(num_returns=3).remote()[0], timeout=10)


def test_no_reference_at_all(tmp_path: Path) -> None:
    @tn.remote(num_returns=0)
    def touch(path: str) -> Any:
        Path(path).touch()
        return lambda: (yield)  # nobody wants it, so it need not travel

    assert touch.remote(str(tmp_path / "task")) is None
    eventually((tmp_path / "task").exists)
    made = ACTORS[0].remote()
    assert made.pair.options(num_returns=0).remote(1, 2) is None
    assert tn.get(made.pid.remote())


@pytest.mark.parametrize("actor", [None, *ACTORS], ids=["task", "serial", "threads", "coroutines"])
@pytest.mark.parametrize(
    ("told", "made", "text"), [(3, 2, "returned 2"), (2, 3, "more than 2"), (2, 0, "returned 0"), (2, None, "a int")]
)
def test_a_result_of_another_length_is_the_error_of_every_one(actor: Any, told: int, made: Any, text: str) -> None:
    if actor is None:
        call: Any = tn.remote(lambda count: 7 if count is None else range(count))
    elif made is None:
        call = actor.remote().pid
        text = "a int"
    else:
        call = actor.remote().count
    refs = call.options(num_returns=told).remote(*([] if actor is not None and made is None else [made]))
    assert len(refs) == told
    for ref in refs:
        with pytest.raises(ValueError, match=f"num_returns={told}.*{text}"):
            tn.get(ref, timeout=10)


def test_an_exception_is_that_of_every_one() -> None:
    @tn.remote(num_returns=2)
    def fails() -> None:
        raise KeyError("lost")

    refs = fails.remote()
    for ref in refs:
        with pytest.raises(KeyError, match="lost"):
            tn.get(ref, timeout=10)
    taken = total.remote(refs[1])
    with pytest.raises(KeyError, match="lost"):
        tn.get(taken, timeout=10)


def test_one_that_cannot_travel_is_the_error_of_all_and_leaves_nothing(cluster: ClusterInfo) -> None:
    before = status(cluster.home)["work"]["store"]["objects"]

    @tn.remote(num_returns=2)
    def locked() -> Any:
        import threading

        return big(1), threading.Lock()

    for ref in locked.remote():
        with pytest.raises(TypeError, match=r"result\[1\]"):
            tn.get(ref, timeout=10)
    eventually(lambda: status(cluster.home)["work"]["store"]["objects"] <= before)


def test_each_is_an_object_of_its_own(cluster: ClusterInfo) -> None:
    def used() -> tuple[int, int]:
        store = status(cluster.home)["work"]["store"]
        return store["objects"], store["usedBytes"]

    objects, used_bytes = eventually(used)
    refs = bigs.options(num_returns=4).remote(4)
    values = tn.get(refs)
    assert [value[0] for value in values] == [0, 1, 2, 3]
    assert not values[0].flags.writeable
    assert used() >= (objects + 4, used_bytes + 4 * LARGE)
    first = refs[0]
    del refs, values
    eventually(lambda: used() < (objects + 2, used_bytes + 2 * LARGE))
    assert tn.get(total.remote(first)) == 0
    del first
    eventually(lambda: used() <= (objects, used_bytes))


def test_references_that_nobody_kept_leave_nothing(cluster: ClusterInfo, tmp_path: Path) -> None:
    before = status(cluster.home)["work"]["store"]["objects"]

    @tn.remote(num_returns=2)
    def slow(gate: str) -> Any:
        while not os.path.exists(gate):
            time.sleep(0.005)
        return big(1), big(2)

    kept = slow.remote(str(tmp_path / "gate"))[0]
    slow.remote(str(tmp_path / "gate"))
    (tmp_path / "gate").touch()
    assert tn.get(kept)[0] == 1
    eventually(lambda: status(cluster.home)["work"]["store"]["objects"] == before + 1)
    del kept
    eventually(lambda: status(cluster.home)["work"]["store"]["objects"] <= before)


def test_one_of_them_is_given_to_others_before_it_is_there(cluster: ClusterInfo, tmp_path: Path) -> None:
    before = status(cluster.home)["work"]["store"]["objects"]

    @tn.remote(num_returns=3)
    def slow(gate: str) -> Any:
        while not os.path.exists(gate):
            time.sleep(0.005)
        return big(1), 2, [tn.put(big(3))]

    @tn.remote
    def inside(refs: list[Any]) -> float:
        return sum(float(np.max(tn.get(ref))) for ref in refs)

    large, small, nested = slow.remote(str(tmp_path / "gate"))
    promised = inside.remote([large, small])
    taken = total.remote(large)
    (tmp_path / "gate").touch()
    assert tn.get([promised, taken]) == [3, LARGE / 8]
    assert tn.get(tn.get(nested)[0])[0] == 3
    del large, small, nested, promised, taken
    eventually(lambda: status(cluster.home)["work"]["store"]["objects"] <= before)


def test_a_promise_that_was_let_go_before_it_was_kept_leaves_nothing(cluster: ClusterInfo, tmp_path: Path) -> None:
    before = status(cluster.home)["work"]["store"]["objects"]

    @tn.remote
    def slow(gate: str) -> Any:
        while not os.path.exists(gate):
            time.sleep(0.005)
        return big(1)

    @tn.remote
    def ignores(refs: list[Any]) -> None:
        return None

    ref = slow.remote(str(tmp_path / "gate"))
    tn.get(ignores.remote([ref]))
    del ref
    tn.get(ignores.remote([]))
    (tmp_path / "gate").touch()
    assert tn.get(slow.remote(str(tmp_path / "gate")))[0] == 1
    eventually(lambda: status(cluster.home)["work"]["store"]["objects"] <= before)


def test_a_task_whose_worker_dies_is_tried_again(tmp_path: Path) -> None:
    @tn.remote(num_returns=2, max_retries=1)
    def once(path: str) -> Any:
        if not os.path.exists(path):
            Path(path).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return big(1), "again"

    first, second = once.remote(str(tmp_path / "tried"))
    assert tn.get(second, timeout=10) == "again"
    assert tn.get(first)[0] == 1


@pytest.mark.parametrize("retry", [False, True])
def test_a_result_of_a_wrong_length_uses_retries_as_any_exception(retry: bool, tmp_path: Path) -> None:
    @tn.remote(num_returns=2, max_retries=1, retry_exceptions=retry)
    def second_time(path: str) -> Any:
        there = os.path.exists(path)
        Path(path).touch()
        return (1, 2) if there else (1,)

    refs = second_time.remote(str(tmp_path / "tried"))
    if retry:
        assert tn.get(refs, timeout=10) == [1, 2]
    else:
        with pytest.raises(ValueError, match="returned 1"):
            tn.get(refs, timeout=10)


@pytest.mark.parametrize("retries", [0, 1])
def test_an_actor_that_dies_in_the_call(retries: int, tmp_path: Path) -> None:
    @tn.remote(max_restarts=1, max_task_retries=retries)
    class Dies:
        @tn.method(num_returns=2)
        def once(self, path: str) -> Any:
            if not os.path.exists(path):
                Path(path).touch()
                os.kill(os.getpid(), signal.SIGKILL)
            return 1, big(2)

    refs = Dies.remote().once.remote(str(tmp_path / "tried"))
    if retries:
        assert tn.get(refs, timeout=10)[1][0] == 2
    else:
        for ref in refs:
            with pytest.raises(tn.ActorDiedError):
                tn.get(ref, timeout=10)


@pytest.mark.parametrize("began", [False, True])
def test_to_cancel_one_is_to_cancel_all(began: bool, tmp_path: Path) -> None:
    mark = tmp_path / "mark"

    @tn.remote(num_returns=2)
    def sleeps(_: Any) -> Any:
        mark.write_text(str(os.getpid()))
        time.sleep(600)

    @tn.remote
    def never() -> None:
        time.sleep(600)

    gate = None if began else never.remote()
    first, second = sleeps.remote(gate)
    if began:
        eventually(mark.exists)
    tn.cancel(second)
    for ref in (first, second):
        with pytest.raises(tn.CancelledError):
            tn.get(ref, timeout=10)
    if gate is not None:
        tn.cancel(gate, force=True)
    tn.cancel(first)  # it is over


def test_a_generator_whose_number_is_known_gives_references_at_once() -> None:
    @tn.remote(num_returns=2)
    def two() -> Iterator[int]:
        yield 1
        yield 2

    @tn.remote(num_returns=2)
    def endless() -> Iterator[int]:
        while True:
            yield 1

    assert tn.get(two.remote()) == [1, 2]
    with pytest.raises(ValueError, match="more than 2"):
        tn.get(endless.remote()[0], timeout=10)


@pytest.mark.parametrize("word", ["streaming", "dynamic"])
def test_words_for_generators(word: str) -> None:
    @tn.remote(num_returns=word)
    def counts(upto: int) -> Iterator[int]:
        yield from range(upto)

    @tn.remote(num_returns=word)
    def returns_one(upto: int) -> Any:
        return iter([at * 10 for at in range(upto)])

    assert [tn.get(ref) for ref in counts.remote(3)] == [0, 1, 2]
    assert [tn.get(ref) for ref in returns_one.remote(3)] == [0, 10, 20]
    for actor in ACTORS:
        made = actor.remote()
        assert [tn.get(ref) for ref in made.count.options(num_returns=word).remote(2)] == [0, 1]


def test_wrong_numbers_are_refused_where_they_are_written() -> None:
    for wrong in (-1, 1.5, "many", True):
        with pytest.raises(tn.ConfigError, match="num_returns"):
            split.options(num_returns=wrong)
        with pytest.raises(tn.ConfigError, match="num_returns"):
            tn.method(num_returns=wrong)
    made = ACTORS[0].remote()
    with pytest.raises(tn.ConfigError, match="num_returns"):
        made.count.options(num_returns=-1)


def test_a_caller_that_is_killed_while_it_waits_leaves_nothing(cluster: ClusterInfo, tmp_path: Path) -> None:
    before = status(cluster.home)["work"]
    caller = program(
        f"""
import os, time, numpy as np, twinkle_node as tn
tn.init("auto")
@tn.remote(num_returns=3)
def slow():
    print(os.getpid(), flush=True)
    open({str(tmp_path / "began")!r}, "w").write(str(os.getpid()))
    time.sleep(600)
@tn.remote(num_returns=2)
def quick():
    return np.zeros(100_000), np.zeros(100_000)
kept = quick.remote()
tn.get(kept)
refs = slow.remote()
tn.wait(refs, timeout=0.01)
print("waits", flush=True)
tn.get(refs)
""",
        cluster.home,
    )
    while said(caller) != "waits":
        pass
    pid = int(eventually(lambda: (tmp_path / "began").exists() and (tmp_path / "began").read_text()))
    caller.kill()
    caller.wait()
    eventually(lambda: not alive(pid))

    def nothing_left() -> bool:
        now = status(cluster.home)["work"]
        return now["drivers"] == before["drivers"] and now["store"]["objects"] <= before["store"]["objects"]

    eventually(nothing_left)


def test_many_values_and_many_calls() -> None:
    refs = split.options(num_returns=1_000).remote(*range(1_000))
    assert tn.get(refs) == list(range(1_000))
    made = ACTORS[0].remote()
    pairs = [made.pair.remote(at, -at) for at in range(2_000)]
    assert tn.get([one for pair in pairs for one in pair]) == [sign * at for at in range(2_000) for sign in (1, -1)]
