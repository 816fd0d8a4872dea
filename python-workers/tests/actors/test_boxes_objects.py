"""Objects between two boxes; each test from the head's box, and from the agent's."""

from __future__ import annotations

import gc
import hashlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from actors_support import end, eventually, said
from boxes_support import MB, Box, Boxes, driven

import twinkle_node as tn

INLINE = 100 * 1024


@pytest.fixture(scope="module", autouse=True, params=["head", "agent"])
def cluster(request: pytest.FixtureRequest) -> Iterator[Boxes]:
    with driven(request.param) as two:
        yield two


@pytest.fixture(autouse=True)
def nothing_left(cluster: Boxes) -> Iterator[None]:
    """What a test has used is gone with it, from both."""
    yield
    gc.collect()
    eventually(lambda: cluster.stored() == (0, 0), "both stores are empty")


def random_bytes(size: int, seed: int = 0) -> bytes:
    return np.random.default_rng(seed).bytes(size)


def written(box: Box) -> int:
    """Bytes that its head or agent has written, to sockets and files."""
    lines = Path(f"/proc/{box.pid}/io").read_text().splitlines()
    return int(dict(line.split(": ") for line in lines)["wchar"])


@tn.remote
class Keeper:
    def __init__(self) -> None:
        self.kept: Any = None

    def same(self, value: Any) -> Any:
        return value

    def read(self, refs: list[Any]) -> Any:
        return tn.get(refs[0])

    def look(self, array: Any) -> tuple[bool, bool, int]:
        return bool(array.flags.writeable), bool(array.flags.owndata), int(array.sum(dtype=np.int64))

    def make(self, size: int, seed: int) -> bytes:
        return random_bytes(size, seed)

    def put(self, size: int, seed: int) -> list[Any]:
        return [tn.put(np.frombuffer(random_bytes(size, seed), dtype=np.uint8))]

    def keep(self, value: Any) -> None:
        self.kept = value

    def give(self) -> Any:
        return self.kept

    def pid(self) -> int:
        return os.getpid()


@pytest.fixture
def far(cluster: Boxes) -> Any:
    return Keeper.options(scheduling_strategy=cluster.far).remote()


SIZES = [1, INLINE - 1, INLINE, INLINE + 1, 1_000_000, 3 * MB, 64 * MB]


@pytest.mark.parametrize("size", SIZES)
def test_what_goes_there_and_back_is_the_same(far: Any, size: int) -> None:
    value = random_bytes(size)
    assert tn.get(far.same.remote(value), timeout=60) == value
    assert tn.get(far.same.remote(tn.put(value)), timeout=60) == value
    array = np.frombuffer(value, dtype=np.uint8)
    assert np.array_equal(tn.get(far.same.remote(array), timeout=60), array)
    assert tn.get(far.make.remote(size, 5), timeout=60) == random_bytes(size, 5)


@pytest.mark.parametrize("size", SIZES)
def test_references_inside_of_values(far: Any, size: int) -> None:
    value = random_bytes(size)
    assert tn.get(far.read.remote([tn.put(value)]), timeout=60) == value
    (ref,) = tn.get(far.put.remote(size, 3), timeout=60)
    assert tn.get(ref, timeout=60).tobytes() == random_bytes(size, 3)
    (again,) = tn.get(far.same.remote([ref]), timeout=60)
    assert tn.get(again, timeout=60).tobytes() == random_bytes(size, 3)


def test_tasks_there_take_the_same(cluster: Boxes) -> None:
    @tn.remote(scheduling_strategy=cluster.far)
    def same(value: Any) -> Any:
        return value

    for size in (1, INLINE + 1, MB, 8 * MB):
        value = random_bytes(size)
        assert tn.get([same.remote(value), same.remote(tn.put(value))], timeout=60) == [value] * 2


def test_arrays_are_read_only_and_lie_in_memory_of_the_readers_box(cluster: Boxes, far: Any) -> None:
    array = np.arange(2 * MB, dtype=np.uint8)
    total = int(array.sum(dtype=np.int64))
    assert tn.get(far.look.remote(tn.put(array)), timeout=30) == (False, False, total)
    (ref,) = tn.get(far.put.remote(2 * MB, 1), timeout=30)
    before = cluster.here.store()["usedBytes"]
    got = tn.get(ref, timeout=30)
    assert not got.flags.writeable
    assert not got.flags.owndata
    assert cluster.here.store()["usedBytes"] - before >= 2 * MB
    assert cluster.there.store()["usedBytes"] >= 2 * MB
    kept = got.tobytes()
    del ref
    gc.collect()
    assert tn.get(far.pid.remote(), timeout=30)
    assert got.tobytes() == kept == random_bytes(2 * MB, 1)


def test_many_readers_of_a_box_fetch_an_object_once(cluster: Boxes) -> None:
    @tn.remote(num_cpus=0.5, scheduling_strategy=cluster.far)
    def total(value: Any, folder: str, at: int) -> int:
        # All have it at once: each is another process.
        Path(folder, str(at)).touch()
        while len(list(Path(folder).iterdir())) < 6:
            os.sched_yield()
        return int(value.sum(dtype=np.int64))

    array = np.full(32 * MB, 3, dtype=np.uint8)
    ref = tn.put(array)
    folder = cluster.head.home / f"all-{cluster.here.node}"
    folder.mkdir()
    before = written(cluster.here)
    assert tn.get([total.remote(ref, str(folder), at) for at in range(6)], timeout=60) == [3 * 32 * MB] * 6
    assert 32 * MB <= written(cluster.here) - before < 40 * MB
    assert 32 * MB <= cluster.there.store()["usedBytes"] < 40 * MB
    other = cluster.there.program(
        "import sys, twinkle_node as tn\ntn.init('auto')\n"
        "keeper = tn.get_actor('holds')\nprint(int(tn.get(tn.get(keeper.give.remote())[0]).sum(dtype='int64')))\n"
    )
    holds = Keeper.options(name="holds", scheduling_strategy=cluster.near).remote()
    tn.get(holds.keep.remote([ref]), timeout=30)
    assert end(other).strip() == str(3 * 32 * MB)
    assert written(cluster.here) - before < 40 * MB


def test_a_driver_there_reads_what_this_one_put_and_the_other_way_round(cluster: Boxes) -> None:
    keeper = Keeper.options(name="between").remote()
    tn.get(keeper.keep.remote([tn.put(random_bytes(5 * MB, 8))]), timeout=30)
    other = cluster.there.program("""
import hashlib, numpy as np, twinkle_node as tn
tn.init("auto")
keeper = tn.get_actor("between")
print(hashlib.sha256(tn.get(tn.get(keeper.give.remote())[0])).hexdigest(), flush=True)
ref = tn.put(np.random.default_rng(9).bytes(5 << 20))
tn.get(keeper.keep.remote([ref]))
print("put", flush=True)
input()
""")
    assert said(other) == hashlib.sha256(random_bytes(5 * MB, 8)).hexdigest()
    assert said(other) == "put"
    (ref,) = tn.get(keeper.give.remote(), timeout=30)
    assert tn.get(ref, timeout=30) == random_bytes(5 * MB, 9)
    other.kill()
    other.wait()
    # It is held here, too: it does not go with who put it.
    fresh = Keeper.options(scheduling_strategy=cluster.near).remote()
    assert tn.get(fresh.read.remote([ref]), timeout=30) == random_bytes(5 * MB, 9)


def test_a_promise_is_awaited_on_the_other_box(cluster: Boxes, far: Any, tmp_path: Path) -> None:
    @tn.remote(scheduling_strategy=cluster.near)
    def late(path: str) -> bytes:
        while not os.path.exists(path):
            os.sched_yield()
        return random_bytes(2 * MB, 4)

    ref = late.remote(str(tmp_path / "go"))
    reads = [far.read.remote([ref]), far.same.remote(ref)]
    assert tn.wait(reads, num_returns=2, timeout=0.2)[0] == []
    (tmp_path / "go").touch()
    assert tn.get(reads, timeout=30) == [random_bytes(2 * MB, 4)] * 2


def test_results_that_nobody_wants_are_gone_from_both(cluster: Boxes, far: Any) -> None:
    for size in (10, INLINE + 1, 2 * MB):
        for seed in range(10):
            far.make.remote(size, seed)
            far.put.remote(size, seed)
    assert tn.get(far.pid.remote(), timeout=60)


def test_a_reader_that_is_killed_while_it_fetches_leaves_nothing(cluster: Boxes) -> None:
    keeper = Keeper.options(name="large", scheduling_strategy=cluster.near).remote()
    tn.get(keeper.keep.remote([tn.put(np.zeros(256 * MB, dtype=np.uint8))]), timeout=60)
    for _ in range(3):
        other = cluster.there.program("""
import twinkle_node as tn
tn.init("auto")
(ref,) = tn.get(tn.get_actor("large").give.remote())
print("reads", flush=True)
tn.get(ref)
""")
        assert said(other) == "reads"
        eventually(lambda: cluster.there.store()["usedBytes"] > 0)
        other.send_signal(signal.SIGKILL)
        other.wait()
        # It may have come by then; then it stays there as a copy.
        (ref,) = tn.get(keeper.give.remote(), timeout=30)
        assert len(tn.get(ref, timeout=60)) == 256 * MB
        del ref


def test_an_object_of_a_driver_that_was_killed_is_lost_and_says_so(cluster: Boxes) -> None:
    other = cluster.there.program("""
import numpy as np, twinkle_node as tn
tn.init("auto")
@tn.remote
class Keeper:
    def keep(self, value): self.kept = value
    def give(self): return self.kept
keeper = Keeper.options(name="kept", lifetime="detached").remote()
promise = tn.remote(lambda: __import__("time").sleep(600)).remote()
tn.get(keeper.keep.remote([promise]))
print("kept", flush=True)
input()
""")
    assert said(other) == "kept"
    keeper = tn.get_actor("kept")
    (ref,) = tn.get(keeper.give.remote(), timeout=30)
    other.kill()
    other.wait()
    with pytest.raises(tn.TwinkleError) as caught:
        tn.get(ref, timeout=30)
    assert caught.value.code == "OBJECT_LOST"
    tn.kill(keeper)
