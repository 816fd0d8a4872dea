"""A head that is killed, an agent that is stopped for a while, programs of two boxes that are killed."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from actors_support import alive, end, eventually, said
from boxes_keeper import Keeper, block, free
from boxes_support import MB, Boxes, at, boxes

import twinkle_node as tn


@pytest.fixture(autouse=True)
def cluster() -> Iterator[Boxes]:
    """Two boxes for each test, whose own driver is on the head's."""
    with boxes() as two:
        two.join(two.head)
        yield two


# ---- the head is killed ----


def test_a_head_that_is_killed_is_heard_on_the_agents_box_which_joins_the_next(cluster: Boxes) -> None:
    source = """
import twinkle_node as tn
from twinkle_node.util.scheduling_strategies import NodeAffinitySchedulingStrategy
tn.init("auto", log_to_driver=False)
@tn.remote
class Counter:
    def pid(self):
        import os
        return os.getpid()
    def wait(self):
        import time
        time.sleep(600)
nodes = [one["NodeID"] for one in tn.nodes()]
actors = [Counter.options(scheduling_strategy=NodeAffinitySchedulingStrategy(one, False)).remote() for one in nodes]
print(*tn.get([one.pid.remote() for one in actors]), flush=True)
for act in (lambda: tn.get([one.wait.remote() for one in actors]), lambda: tn.put(bytes(1 << 20)), lambda: tn.get(actors[0].pid.remote())):
    try:
        act()
        print("nothing")
    except tn.TwinkleError as error:
        print(error.code)
"""
    other = cluster.agent.program(source)
    pids = [int(one) for one in said(other).split()]
    tn.shutdown()
    cluster.head.kill()
    codes = end(other).split()
    assert set(codes) <= {"HEAD_UNREACHABLE", "ACTOR_DIED", "CHANNEL_CLOSED"}, codes
    eventually(lambda: not any(map(alive, pids)), "workers on both boxes end")
    eventually(lambda: cluster.agent.status()["connected"] is False)
    cluster.start_head()
    eventually(cluster.whole, "the agent is there again by itself")
    eventually(lambda: cluster.agent.status()["connected"])
    cluster.join(cluster.head)
    eventually(lambda: free(cluster))
    keeper = Keeper.options(scheduling_strategy=cluster.far, num_gpus=4).remote()
    assert tn.get(keeper.where.remote(), timeout=30)[0] == cluster.agent.node
    assert tn.get(keeper.make.remote(MB), timeout=30).sum() == MB
    again = cluster.agent.program("import twinkle_node as tn\ntn.init('auto')\nprint(tn.get(tn.put(5)))\n")
    assert end(again).strip() == "5"


# ---- the agent is stopped for a while ----


def test_an_agent_that_was_stopped_for_a_while_is_whole_again(cluster: Boxes, tmp_path: Path) -> None:
    soft = at(cluster.agent.node, soft=True)
    keeper = Keeper.options(name="only", scheduling_strategy=soft, max_restarts=5, max_task_retries=5).remote()
    before = tn.get(keeper.where.remote(), timeout=30)
    os.kill(cluster.agent.pid, signal.SIGSTOP)
    stopped = time.monotonic()
    ref = keeper.where.remote()
    # As long as that: what is looked for is what others think of it meanwhile.
    tn.wait([ref], timeout=3)
    while time.monotonic() - stopped < 3:
        assert tn.wait([block.remote("/")], timeout=5)
    os.kill(cluster.agent.pid, signal.SIGCONT)
    during = tn.get(ref, timeout=30)
    eventually(cluster.whole, "both are there again")
    eventually(lambda: cluster.agent.status()["connected"])
    after = tn.get(keeper.where.remote(), timeout=30)
    # It is one process: where it was, or another, and then the first has ended.
    assert during in (before, after)
    if after != before:
        eventually(lambda: not alive(before[1]), "nothing runs twice as the same actor")
    fresh = Keeper.options(scheduling_strategy=cluster.far, num_gpus=4).remote()
    assert tn.get(fresh.where.remote(), timeout=30)[0] == cluster.agent.node
    del keeper, fresh
    eventually(lambda: free(cluster))


# ---- programs ----


def test_a_driver_on_the_agents_box_that_is_killed_leaves_nothing_on_either(cluster: Boxes) -> None:
    source = """
import os, numpy as np, twinkle_node as tn
from twinkle_node.util.scheduling_strategies import NodeAffinitySchedulingStrategy
tn.init("auto")
@tn.remote(num_gpus=1)
class Keeper:
    def keep(self, value):
        self.kept = value
        return os.getpid()
    def wait(self):
        import time
        time.sleep(600)
nodes = [one["NodeID"] for one in tn.nodes()]
actors = [Keeper.options(scheduling_strategy=NodeAffinitySchedulingStrategy(one, False)).remote() for one in nodes]
refs = [tn.put(np.zeros(1 << 20)), tn.put([1])]
pids = tn.get([one.keep.remote([*refs, *actors]) for one in actors])
waits = [one.wait.remote() for one in actors]
tasks = [tn.remote(lambda: __import__("time").sleep(600)).remote() for _ in range(3)]
print(*pids, flush=True)
tn.get(waits)
"""
    others = [cluster.agent.program(source) for _ in range(2)]
    pids = [int(one) for other in others for one in said(other).split()]
    assert all(map(alive, pids))
    assert tn.available_resources()["GPU"] == 2
    for other in others:
        other.kill()
        other.wait()
    eventually(lambda: not any(map(alive, pids)), "its actors end on both boxes")
    eventually(lambda: free(cluster))
    eventually(lambda: cluster.stored() == (0, 0), "and its objects")
    work = cluster.head.status()["work"]
    assert (work["drivers"], work["actors"], work["leases"]) == (1, 0, 0)


def test_a_caller_on_the_agents_box_that_is_killed_while_it_waits_leaves_nothing(cluster: Boxes) -> None:
    keeper = Keeper.options(name="keeper", scheduling_strategy=cluster.near).remote()
    _, pid = tn.get(keeper.where.remote(), timeout=30)
    os.kill(pid, signal.SIGSTOP)
    source = """
import numpy as np, twinkle_node as tn
tn.init("auto")
keeper = tn.get_actor("keeper")
refs = [keeper.keep.remote(np.zeros(50_000)) for _ in range(20)]
refs += [keeper.keep.remote(tn.put(np.zeros(1_000_000))) for _ in range(20)]
print("waits", flush=True)
tn.get(refs)
"""
    callers = [cluster.agent.program(source) for _ in range(3)]
    for caller in callers:
        assert said(caller) == "waits"
        caller.kill()
        caller.wait()
    os.kill(pid, signal.SIGCONT)
    eventually(lambda: cluster.head.status()["work"]["drivers"] == 1)

    def empty() -> bool:
        # What they had said before may be heard after this.
        tn.get(keeper.keep.remote(None), timeout=30)
        return cluster.stored() == (0, 0)

    eventually(empty, "their objects are gone")
