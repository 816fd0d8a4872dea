"""Objects: values that are kept, large ones that are shared, references that are handed on."""

from __future__ import annotations

import gc
import threading
import time
from typing import Any

import numpy as np
import pytest
from actors_support import eventually, status

import twinkle_node as tn
from twinkle_node.core.api import ClusterInfo

LARGE = 300_000
"""Numbers of an array that is not sent in a frame."""


@tn.remote
class Keeper:
    def __init__(self) -> None:
        self.kept: list[Any] = []

    def keep(self, *refs: Any) -> None:
        self.kept = [one for part in refs for one in part]

    def sums(self) -> list[float]:
        return [float(np.sum(value)) for value in tn.get(self.kept)]

    def give(self) -> list[Any]:
        return self.kept

    def forget(self) -> None:
        self.kept = []

    def make(self, size: int) -> Any:
        return np.ones(size)

    def look(self, array: Any) -> tuple[bool, bool, float]:
        return bool(array.flags.writeable), bool(array.flags.owndata), float(array.sum())


@tn.remote
def total(array: Any) -> float:
    return float(array.sum())


def used(cluster: ClusterInfo) -> int:
    return int(status(cluster.home)["work"]["store"]["usedBytes"])


def objects(cluster: ClusterInfo) -> int:
    return int(status(cluster.home)["work"]["store"]["objects"])


@pytest.mark.parametrize(
    "value",
    [None, 0, -(2**80), "text", b"", b"x" * 500_000, {"a": [1, (2, {3})]}, "y" * 300_000, float("inf"), [], ({},)],
    ids=lambda value: type(value).__name__,
)
def test_what_is_put_is_what_is_got(value: Any) -> None:
    ref = tn.put(value)
    assert tn.get(ref) == value
    assert tn.get([ref, ref]) == [value, value]

    @tn.remote
    def same(one: Any) -> Any:
        return one

    assert tn.get(same.remote(ref)) == value


def test_a_reference_is_not_put() -> None:
    with pytest.raises(tn.TwinkleError, match="ObjectRef"):
        tn.put(tn.put(1))


@pytest.mark.parametrize("wrong", [1, "ref", [1], None, [None]])
def test_only_references_are_got_and_waited_for(wrong: Any) -> None:
    with pytest.raises(tn.TwinkleError):
        tn.get(wrong)
    with pytest.raises(tn.TwinkleError, match="ObjectRefs"):
        tn.wait(wrong)


def test_nothing_is_got_of_nothing() -> None:
    assert tn.get([]) == []


# ---- waiting ----


def test_wait_gives_those_that_are_there_in_their_order() -> None:
    @tn.remote
    def never() -> None:
        time.sleep(60)

    there, missing = [tn.put(at) for at in range(3)], never.remote()
    refs = [there[0], missing, there[1], there[2]]
    assert tn.wait(refs, num_returns=2) == ([there[0], there[1]], [missing, there[2]])
    assert tn.wait(refs, num_returns=4, timeout=0.05) == (there, [missing])
    assert tn.wait(refs, num_returns=4, timeout=0) == (there, [missing])
    with pytest.raises(tn.GetTimeoutError) as caught:
        tn.get(refs, timeout=0.05)
    assert isinstance(caught.value, TimeoutError)
    assert missing.id in str(caught.value)
    tn.cancel(missing, force=True)
    with pytest.raises(tn.CancelledError):
        tn.get(missing, timeout=10)


@pytest.mark.parametrize("count", [0, 3, -1])
def test_wait_for_more_than_there_are_is_refused(count: int) -> None:
    with pytest.raises(tn.TwinkleError, match="num_returns"):
        tn.wait([tn.put(1), tn.put(2)], num_returns=count)


def test_wait_for_one_reference_twice_is_refused() -> None:
    ref = tn.put(1)
    with pytest.raises(tn.TwinkleError, match="once"):
        tn.wait([ref, ref])


@pytest.mark.parametrize("poll", ["wait", "get"])
def test_who_only_looks_sees_a_result_in_the_end(poll: str) -> None:
    @tn.remote
    def soon() -> int:
        time.sleep(0.05)
        return 1

    ref = soon.remote()
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if poll == "wait" and tn.wait([ref], timeout=0)[0]:
            break
        if poll == "get":
            try:
                assert tn.get(ref, timeout=0) == 1
                break
            except tn.GetTimeoutError:
                pass
    else:
        raise AssertionError("it looked for ten seconds")


def test_several_threads_wait_at_once() -> None:
    @tn.remote
    def value(at: int) -> int:
        return at

    seen: list[int] = []

    def work(first: int) -> None:
        for at in range(first, first + 100):
            seen.append(tn.get(value.remote(at), timeout=20))  # noqa: PERF401

    threads = [threading.Thread(target=work, args=(first * 100,)) for first in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(seen) == list(range(400))


# ---- large values ----


def test_a_large_array_is_read_only_and_not_copied_here_nor_in_another_process() -> None:
    array = np.arange(LARGE, dtype=np.float64)
    ref = tn.put(array)
    first, second = tn.get(ref), tn.get(ref)
    assert np.shares_memory(first, second)
    assert not first.flags.writeable
    with pytest.raises(ValueError, match="read-only"):
        first[0] = 1
    assert tn.get(Keeper.remote().look.remote(ref)) == (False, False, float(array.sum()))


def test_what_was_put_does_not_change_with_the_original() -> None:
    array = np.zeros(LARGE)
    ref = tn.put(array)
    array[:] = 1
    assert float(tn.get(ref).sum()) == 0


def test_a_view_outlives_its_reference() -> None:
    ref = tn.put(np.full(LARGE, 2.0))
    part = tn.get(ref)[100:200]
    del ref
    gc.collect()
    others = [tn.put(np.zeros(LARGE)) for _ in range(20)]
    assert float(part.sum()) == 200.0
    del others


@pytest.mark.parametrize("way", ["put", "task", "actor", "argument", "items"])
def test_large_values_that_nobody_refers_to_are_freed(way: str, cluster: ClusterInfo) -> None:
    keeper = Keeper.remote()
    array = np.ones(LARGE)

    @tn.remote
    def make() -> Any:
        return np.ones(LARGE)

    @tn.remote
    def items() -> Any:
        for _ in range(3):
            yield np.ones(LARGE)

    tn.get(keeper.forget.remote())
    gc.collect()
    eventually(lambda: used(cluster) == 0, "earlier tests are done with theirs")
    before = objects(cluster)
    for _ in range(3):
        if way == "put":
            tn.get(tn.put(array))
        elif way == "task":
            tn.get(make.remote())
            make.remote()
        elif way == "actor":
            tn.get(keeper.make.remote(LARGE))
            keeper.make.remote(LARGE)
        elif way == "argument":
            tn.get(keeper.look.remote(array))
        else:
            assert [tn.get(ref).size for ref in items.remote()] == [LARGE] * 3
            next(items.remote())
    assert tn.get(keeper.sums.remote()) == []
    eventually(lambda: used(cluster) == 0, "nothing is left in the store")
    eventually(lambda: objects(cluster) == before, "nothing is left in the table")


def test_an_error_that_ends_a_call_frees_what_it_was_given(cluster: ClusterInfo) -> None:
    @tn.remote
    class Dies:
        def take(self, array: Any) -> None:
            import os

            os._exit(1)

    gc.collect()
    eventually(lambda: used(cluster) == 0)
    with pytest.raises(tn.ActorDiedError):
        tn.get(Dies.remote().take.remote(np.ones(LARGE)), timeout=10)
    eventually(lambda: used(cluster) == 0)


# ---- references that travel ----


def test_references_in_containers_are_handed_on_and_kept_by_an_actor() -> None:
    keeper = Keeper.remote()
    tn.get(keeper.keep.remote([tn.put(np.full(LARGE, 1.0)), tn.put([1, 2])], [total.remote(np.ones(3))]))
    gc.collect()
    assert tn.get(keeper.sums.remote()) == [LARGE, 3.0, 3.0]
    again = tn.get(keeper.give.remote())
    tn.get(keeper.forget.remote())
    del keeper
    gc.collect()
    assert [float(np.sum(one)) for one in tn.get(again)] == [LARGE, 3.0, 3.0]


def test_a_reference_without_a_value_is_handed_on_and_filled_later() -> None:
    @tn.remote
    def slow(size: int) -> Any:
        time.sleep(0.2)
        return np.ones(size)

    keeper = Keeper.remote()
    kept = keeper.keep.remote([slow.remote(3), slow.remote(LARGE)])
    sums = keeper.sums.remote()
    tn.get(kept)
    assert tn.get(sums, timeout=10) == [3.0, LARGE]


def test_a_reference_goes_through_many_hands() -> None:
    @tn.remote
    def pass_on(box: list[Any], left: int) -> list[Any]:
        return box if left == 0 else tn.get(pass_on.remote(box, left - 1))

    box = tn.get(pass_on.remote([tn.put(np.full(LARGE, 3.0))], 4), timeout=30)
    gc.collect()
    assert float(tn.get(box[0]).sum()) == 3.0 * LARGE


def test_references_to_references() -> None:
    inner = tn.put(np.ones(LARGE))
    outer = tn.put({"inner": [inner]})
    del inner

    @tn.remote
    def unwrap(box: Any) -> float:
        return float(tn.get(box["inner"][0]).sum())

    assert tn.get(unwrap.remote(outer)) == LARGE
    assert float(tn.get(tn.get(outer)["inner"][0]).sum()) == LARGE


def test_what_a_task_put_outlives_the_task_and_its_worker() -> None:
    @tn.remote
    def make() -> list[Any]:
        return [tn.put(np.full(LARGE, 4.0)), tn.put("small")]

    large, small = tn.get(make.options(num_gpus=1).remote())
    eventually(lambda: tn.available_resources().get("GPU") == 6)
    assert tn.get(small) == "small"
    assert float(tn.get(large).sum()) == 4.0 * LARGE


def test_a_result_that_its_owner_never_made_is_an_error_for_who_has_its_reference() -> None:
    @tn.remote
    class Owner:
        def promise(self) -> list[Any]:
            @tn.remote
            def never() -> None:
                time.sleep(600)

            return [never.remote()]

    owner = Owner.remote()
    (ref,) = tn.get(owner.promise.remote())
    tn.kill(owner)
    with pytest.raises(tn.TwinkleError) as caught:
        tn.get(ref, timeout=10)
    assert caught.value.code == "OBJECT_LOST"


def test_a_future_of_a_reference() -> None:
    assert tn.put(3).future().result(timeout=10) == 3
    assert total.remote(np.ones(LARGE)).future().result(timeout=10) == LARGE
    assert len(Keeper.remote().make.remote(LARGE).future().result(timeout=10)) == LARGE
