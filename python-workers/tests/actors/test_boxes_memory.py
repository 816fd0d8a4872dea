"""Two boxes whose stores have little room: producers spill, readers let go of copies; from the head's box, and from the agent's."""

from __future__ import annotations

import gc
import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from actors_support import end, eventually
from boxes_support import MB, Box, Boxes, driven

import twinkle_node as tn

STORE = 32 * MB
SIZE = 2 * MB


@pytest.fixture(scope="module", autouse=True, params=["head", "agent"])
def cluster(request: pytest.FixtureRequest) -> Iterator[Boxes]:
    with driven(request.param, "--object-store-memory", str(STORE)) as two:
        yield two


@pytest.fixture(autouse=True)
def nothing_left(cluster: Boxes) -> Iterator[None]:
    """What a test has used is gone with it, from both, and so are files."""
    yield
    gc.collect()
    eventually(lambda: cluster.stored() == (0, 0), "both stores are empty")
    eventually(lambda: files(cluster.head) == files(cluster.agent) == [], "all files are gone")


def files(box: Box) -> list[str]:
    return [str(path) for path in (box.home / "spill").glob("*/*")]


def array(seed: int, size: int = SIZE) -> Any:
    return np.random.default_rng(seed).integers(0, 255, size, dtype=np.uint8)


def total(seed: int, size: int = SIZE) -> int:
    return int(array(seed, size).sum(dtype=np.int64))


@tn.remote
class Worker:
    def __init__(self) -> None:
        self.held: list[Any] = []

    def put(self, seeds: list[int], size: int = SIZE) -> list[Any]:
        return [tn.put(array(seed, size)) for seed in seeds]

    def make(self, seed: int, size: int = SIZE) -> Any:
        return array(seed, size)

    def sum(self, value: Any) -> int:
        return int(value.sum(dtype=np.int64))

    def sums(self, refs: list[Any]) -> list[int]:
        return [int(tn.get(ref).sum(dtype=np.int64)) for ref in refs]

    def hold(self, refs: list[Any]) -> list[str]:
        """Open them one after another, until there is no room."""
        try:
            for ref in refs:
                self.held.append(tn.get(ref))
        except tn.TwinkleError as error:
            return [error.code, str(len(self.held))]
        return ["", str(len(self.held))]

    def let_go(self) -> None:
        self.held.clear()


@pytest.fixture
def far(cluster: Boxes) -> Any:
    return Worker.options(scheduling_strategy=cluster.far).remote()


def test_five_times_the_store_is_made_there_and_read_here_in_any_order(cluster: Boxes, far: Any) -> None:
    count = 5 * STORE // SIZE
    refs = tn.get(far.put.remote(list(range(count))), timeout=60)
    there = cluster.there.store()
    assert there["spilledBytes"] > 3 * STORE
    assert there["usedBytes"] <= STORE
    order = list(range(count))
    random.Random(5).shuffle(order)
    for at in order:
        assert np.array_equal(tn.get(refs[at], timeout=30), array(at))
    here = cluster.here.store()
    assert here["usedBytes"] <= STORE
    assert here["spilledBytes"] == 0, "copies are not written to disk"
    assert cluster.there.store()["spillWrittenBytes"] < 6 * STORE, "what was written once is not written again"


def test_five_times_the_store_is_put_here_and_read_there(cluster: Boxes, far: Any) -> None:
    count = 5 * STORE // SIZE
    refs = [tn.put(array(seed)) for seed in range(count)]
    order = list(range(count))
    random.Random(6).shuffle(order)
    expected = [total(at) for at in order]
    assert tn.get(far.sums.remote([refs[at] for at in order]), timeout=60) == expected
    assert tn.get([far.sum.remote(refs[at]) for at in order], timeout=60) == expected
    assert cluster.there.store()["spilledBytes"] == 0


def test_both_read_what_the_other_has_at_once(cluster: Boxes, far: Any) -> None:
    near = Worker.options(scheduling_strategy=cluster.near).remote()
    theirs = tn.get(far.put.remote(list(range(40))), timeout=60)
    ours = tn.get(near.put.remote(list(range(40, 80))), timeout=60)
    sums = [far.sums.remote(ours), near.sums.remote(theirs), far.sums.remote(theirs), near.sums.remote(ours)]
    low, high = [total(seed) for seed in range(40)], [total(seed) for seed in range(40, 80)]
    assert tn.get(sums, timeout=90) == [high, low, low, high]


def test_results_that_need_room_there_and_here(far: Any) -> None:
    made = [far.make.remote(seed, 9 * MB) for seed in range(12)]
    for seed, ref in enumerate(made):
        assert np.array_equal(tn.get(ref, timeout=60), array(seed, 9 * MB))


def test_a_reader_whose_box_is_full_of_what_it_reads_hears_so(cluster: Boxes, far: Any) -> None:
    refs = [tn.put(array(seed, 7 * MB)) for seed in range(8)]
    assert tn.get(far.hold.remote(refs), timeout=60) == ["SHM_FULL", "4"]
    # The others can be read here all the same, and there when there is room again.
    assert [int(tn.get(ref, timeout=30).sum(dtype=np.int64)) for ref in refs] == [total(at, 7 * MB) for at in range(8)]
    tn.get(far.let_go.remote(), timeout=30)
    assert tn.get(far.sums.remote(refs), timeout=60) == [total(at, 7 * MB) for at in range(8)]


def test_a_driver_there_keeps_what_it_opened_in_a_store_that_is_full(cluster: Boxes) -> None:
    keeper = Worker.options(name="maker", scheduling_strategy=cluster.near).remote()
    assert tn.get(keeper.sum.remote(array(1)), timeout=30) == total(1)
    other = cluster.there.program("""
import numpy as np, twinkle_node as tn
tn.init("auto")
maker = tn.get_actor("maker")
refs = tn.get(maker.put.remote(list(range(60))))
def right(seed, value):
    return (value == np.random.default_rng(seed).integers(0, 255, 2 << 20, dtype=np.uint8)).all()
held = [(seed, tn.get(refs[seed])) for seed in (0, 30, 59)]
wrong = [seed for seed, ref in enumerate(refs) if not right(seed, tn.get(ref))]
print([*wrong, *(seed for seed, value in held if not right(seed, value))])
""")
    assert end(other).strip() == "[]"
