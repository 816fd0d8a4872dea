"""A head and two agents: what goes from one agent to the other goes there straight."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from actors_support import end, eventually, said
from boxes_support import MB, Box, Boxes, at, boxes

import twinkle_node as tn


@pytest.fixture
def third() -> Iterator[Box]:
    box = Box("b", "gpu:1", 2)
    try:
        yield box
    finally:
        box.remove()


@pytest.fixture(autouse=True)
def cluster(third: Box) -> Iterator[Boxes]:
    with boxes() as two:
        two.start_agent(third)
        eventually(lambda: len(two.alive()) == 3)
        two.join(two.agent)
        yield two
        tn.shutdown()
        if not third.killed:
            third.stop()
        eventually(lambda: third.left() == [], "nothing is left of the third")


@tn.remote
class Keeper:
    def __init__(self) -> None:
        self.kept: Any = None

    def where(self) -> str:
        return tn.get_runtime_context().get_node_id()

    def keep(self, value: Any) -> None:
        self.kept = value

    def give(self) -> Any:
        return self.kept

    def put(self, size: int) -> list[Any]:
        return [tn.put(np.full(size, 7, dtype=np.uint8))]

    def sums(self, refs: list[Any]) -> list[int]:
        return [int(tn.get(ref).sum(dtype=np.int64)) for ref in refs]

    def asks(self, other: Any, size: int) -> int:
        return int(tn.get(other.give_zeros.remote(size)).sum())

    def give_zeros(self, size: int) -> Any:
        return np.zeros(size, dtype=np.uint8)


def test_from_an_agent_to_another_and_not_by_the_head(cluster: Boxes, third: Box) -> None:
    own, other = (Keeper.options(scheduling_strategy=at(node)).remote() for node in (cluster.agent.node, third.node))
    assert tn.get([own.where.remote(), other.where.remote()], timeout=30) == [cluster.agent.node, third.node]
    refs = tn.get(other.put.remote(32 * MB), timeout=30)
    assert tn.get(own.sums.remote(refs), timeout=60) == [7 * 32 * MB]
    mine = tn.put(np.full(32 * MB, 2, dtype=np.uint8))
    assert tn.get(other.sums.remote([mine, refs[0]]), timeout=60) == [2 * 32 * MB, 7 * 32 * MB]
    assert cluster.head.store()["usedBytes"] == 0
    assert cluster.head.store()["awayBytes"] >= 64 * MB
    assert tn.get(own.asks.remote(other, 3 * MB), timeout=30) == 0
    del refs, mine, own, other
    gc.collect()
    eventually(lambda: cluster.stored() == (0, 0))
    eventually(lambda: third.store()["usedBytes"] == 0)


def test_a_driver_on_each_calls_the_same_actors(cluster: Boxes, third: Box) -> None:
    nodes = (cluster.head.node, cluster.agent.node, third.node)
    keepers = [
        Keeper.options(name=f"on-{at_}", scheduling_strategy=at(node)).remote() for at_, node in enumerate(nodes)
    ]
    assert tn.get([one.where.remote() for one in keepers], timeout=30) == list(nodes)
    source = """
import numpy as np, twinkle_node as tn
tn.init("auto")
keepers = [tn.get_actor(f"on-{at}") for at in range(3)]
refs = [tn.get(one.put.remote(1 << 20))[0] for one in keepers] + [tn.put(np.ones(1 << 20, dtype=np.uint8))]
print([tn.get(one.sums.remote(refs)) for one in keepers] == [[7 << 20] * 3 + [1 << 20]] * 3)
"""
    others = [box.program(source) for box in (cluster.head, cluster.agent, third)]
    assert [end(one).strip() for one in others] == ["True"] * 3


@pytest.mark.parametrize("killed", ["reader", "producer"])
def test_an_agent_that_is_killed_while_another_reads_of_it(cluster: Boxes, third: Box, killed: str) -> None:
    keeper = Keeper.options(name="keeper", scheduling_strategy=at(cluster.agent.node)).remote()
    tn.get(keeper.keep.remote([tn.put(np.ones(256 * MB, dtype=np.uint8))]), timeout=60)
    other = third.program("""
import twinkle_node as tn
tn.init("auto")
(ref,) = tn.get(tn.get_actor("keeper").give.remote())
print("reads", flush=True)
try:
    print(len(tn.get(ref)))
except tn.TwinkleError as error:
    print(error.code)
""")
    assert said(other) == "reads"
    eventually(lambda: third.store()["usedBytes"] > 0)
    if killed == "reader":
        third.kill()
        assert said(other) in ("HEAD_UNREACHABLE", str(256 * MB))
        other.wait()
        assert tn.get(keeper.sums.remote(tn.get(keeper.give.remote())), timeout=60) == [256 * MB]
    else:
        tn.shutdown()
        cluster.agent.kill()
        assert said(other) in ("OBJECT_LOST", str(256 * MB))
        end(other)
        eventually(lambda: third.store()["usedBytes"] == 0)
