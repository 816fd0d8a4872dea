"""An agent, or what it is read of, that is killed: what goes on, what is lost, and what is made again."""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from actors_support import end, eventually, said
from boxes_keeper import Keeper, begun, block, free
from boxes_support import MB, Boxes, at, boxes, processes

import twinkle_node as tn


@pytest.fixture(autouse=True)
def cluster() -> Iterator[Boxes]:
    """Two boxes for each test, whose own driver is on the head's."""
    with boxes() as two:
        two.join(two.head)
        yield two


def test_an_agent_that_is_killed_takes_its_workers_with_it_and_comes_again(cluster: Boxes) -> None:
    keeper = Keeper.options(num_gpus=1, scheduling_strategy=cluster.far).remote()
    where, pid = tn.get(keeper.where.remote(), timeout=30)
    assert where == cluster.agent.node
    other = cluster.agent.program("import twinkle_node as tn\ntn.init('auto')\nprint('there', flush=True)\ninput()\n")
    assert said(other) == "there"
    cluster.agent.kill()
    with pytest.raises(tn.ActorDiedError) as caught:
        tn.get(keeper.where.remote(), timeout=20)
    assert (caught.value.node, caught.value.pid) == (where, pid)
    eventually(lambda: processes(cluster.agent.home) == [], "its workers end by themselves")
    eventually(lambda: cluster.alive() == [cluster.head.node])
    eventually(lambda: free(cluster))
    assert tn.cluster_resources()["GPU"] == 2
    eventually(lambda: cluster.head.status()["work"]["drivers"] == 1, "the driver there is gone")
    other.kill()
    other.wait()

    cluster.start_agent()
    eventually(cluster.whole)
    assert tn.cluster_resources()["GPU"] == 6
    fresh = Keeper.options(num_gpus=4, scheduling_strategy=cluster.far).remote()
    assert tn.get(fresh.where.remote(), timeout=30)[0] == cluster.agent.node


def test_actors_and_tasks_of_a_box_that_is_lost_go_on_here(cluster: Boxes, tmp_path: Path) -> None:
    soft = at(cluster.agent.node, soft=True)
    path = tmp_path / "go"
    keeper = Keeper.options(num_gpus=1, scheduling_strategy=soft, max_restarts=2, max_task_retries=2).remote()
    call = keeper.block.remote(str(path))
    tasks = [block.options(scheduling_strategy=soft, max_retries=2).remote(str(path)) for _ in range(2)]
    begun(path, 3)
    cluster.agent.kill()
    begun(path, 6)
    path.touch()
    assert tn.get(call, timeout=30)[0] == cluster.head.node
    assert tn.get(tasks, timeout=30) == [cluster.head.node] * 2
    assert tn.get(keeper.where.remote(), timeout=30)[0] == cluster.head.node
    del keeper
    eventually(lambda: free(cluster))


def test_who_may_not_go_elsewhere_is_an_error_that_names_the_node(cluster: Boxes, tmp_path: Path) -> None:
    path = tmp_path / "go"
    keeper = Keeper.options(scheduling_strategy=cluster.far).remote()
    call = keeper.block.remote(str(path))
    task = block.options(scheduling_strategy=cluster.far, max_retries=0).remote(str(path))
    begun(path, 2)
    queued = [keeper.where.remote() for _ in range(10_000)]
    cluster.agent.kill()
    began = time.monotonic()
    for ref in [call, *queued]:
        with pytest.raises(tn.ActorDiedError) as caught:
            tn.get(ref, timeout=30)
    assert cluster.agent.node in str(caught.value)
    with pytest.raises(tn.TwinkleError) as died:
        tn.get(task, timeout=30)
    assert died.value.code in ("WORKER_DIED", "NODE_LOST")
    assert cluster.agent.node in str(died.value)
    assert time.monotonic() - began < 20
    late = block.options(scheduling_strategy=cluster.far).remote(str(path))
    with pytest.raises(tn.TwinkleError, match=cluster.agent.node):
        tn.get(late, timeout=30)


def test_objects_of_a_box_that_is_lost_are_lost_but_for_copies(cluster: Boxes) -> None:
    keeper = Keeper.options(scheduling_strategy=cluster.far).remote()
    read, unread = keeper.make.remote(2 * MB), keeper.make.remote(2 * MB)
    array = tn.get(read, timeout=30)
    assert tn.wait([unread], timeout=30)[0] == [unread]
    cluster.agent.kill()
    eventually(lambda: cluster.alive() == [cluster.head.node])
    for _ in range(2):
        with pytest.raises(tn.TwinkleError) as caught:
            tn.get(unread, timeout=20)
        assert caught.value.code == "OBJECT_LOST"
        assert cluster.agent.node in str(caught.value)
    assert array.tobytes() == np.ones(2 * MB).tobytes()
    assert tn.get(read, timeout=20).tobytes() == array.tobytes()
    with pytest.raises(tn.TwinkleError) as caught:
        tn.get(tn.remote(len).remote(unread), timeout=20)
    assert cluster.agent.node in str(caught.value)
    del array, read, unread, caught  # an exception has the frames that it came through
    gc.collect()
    eventually(lambda: cluster.head.store()["objects"] == 0)
    eventually(lambda: cluster.head.store()["usedBytes"] == 0)


@pytest.mark.parametrize("killed", ["agent", "head"])
def test_a_box_that_is_killed_while_it_is_read_is_an_error_and_no_hang(cluster: Boxes, killed: str) -> None:
    there = cluster.agent if killed == "agent" else cluster.head
    here = cluster.head if killed == "agent" else cluster.agent
    source = f"""
import time, numpy as np, twinkle_node as tn
from twinkle_node.util.scheduling_strategies import NodeAffinitySchedulingStrategy
tn.init("auto")
@tn.remote(scheduling_strategy=NodeAffinitySchedulingStrategy({there.node!r}, False))
def make():
    return np.zeros(512 << 20, dtype=np.uint8)
ref = make.remote()
tn.wait([ref])
print("reads", flush=True)
began = time.monotonic()
try:
    tn.get(ref, timeout=60)
    print("read")
except tn.TwinkleError as error:
    print(error.code, {there.node!r} in str(error), time.monotonic() - began < 20)
"""
    reader = here.program(source)
    assert said(reader) == "reads"
    eventually(lambda: here.store()["usedBytes"] > 0, "it is being read")
    there.kill()
    if killed == "head":
        tn.shutdown()
    line = said(reader)
    if killed == "agent":
        assert line in ("OBJECT_LOST True True", "read")
        end(reader)
        eventually(lambda: cluster.head.store()["usedBytes"] == 0)
    else:
        assert line.split()[0] in ("HEAD_UNREACHABLE", "OBJECT_LOST", "CHANNEL_CLOSED", "read"), line
        reader.wait()


def test_items_and_results_that_were_lost_with_their_box_are_made_again(cluster: Boxes, tmp_path: Path) -> None:
    soft = at(cluster.agent.node, soft=True)
    path = tmp_path / "go"

    @tn.remote(max_retries=2, scheduling_strategy=soft)
    def items(path: str) -> Iterator[Any]:
        for number in range(4):
            yield np.full(MB, number)
        Path(f"{path}-{os.getpid()}").touch()
        while not os.path.exists(path):
            time.sleep(0.01)
        yield np.full(MB, 4)

    refs = items.remote(str(path))
    first = [next(refs) for _ in range(4)]
    assert int(tn.get(first[0], timeout=30)[0]) == 0
    begun(path, 1)
    cluster.agent.kill()
    begun(path, 2)
    path.touch()
    assert [int(tn.get(ref, timeout=30)[0]) for ref in [*first, *refs]] == list(range(5))
