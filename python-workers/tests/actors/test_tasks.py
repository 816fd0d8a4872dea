"""Tasks: results, references as arguments, workers that are kept and lost, tasks within tasks."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from actors_support import alive, end, eventually, program, said, status

import twinkle_node as tn
from twinkle_node.core.api import ClusterInfo


@tn.remote
def add(*numbers: float, **named: float) -> float:
    return sum(numbers) + sum(named.values())


@tn.remote
def pid() -> int:
    return os.getpid()


@tn.remote
def after(path: str, value: Any = None) -> Any:
    while not os.path.exists(path):
        time.sleep(0.005)
    return value


def test_results_come_in_the_order_of_their_references() -> None:
    assert tn.get([add.remote(at, 1, more=2) for at in range(200)]) == [at + 3 for at in range(200)]


def test_functions_travel_with_what_they_close_over() -> None:
    factor = 3
    scaled = tn.remote(lambda value: factor * value)

    @tn.remote
    def recursive(value: int) -> int:
        return 1 if value == 0 else value * tn.get(recursive.remote(value - 1))

    assert tn.get(scaled.remote(5)) == 15
    assert tn.get(recursive.remote(4), timeout=30) == 24


def test_a_coroutine_function_is_a_task_too() -> None:
    @tn.remote
    async def slept(value: int) -> int:
        await asyncio.sleep(0)
        return value

    @tn.remote
    async def awaits(refs: list[Any]) -> int:
        return sum([await ref for ref in refs])

    assert tn.get(awaits.remote([slept.remote(1), slept.remote(2)]), timeout=10) == 3


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_generator_is_a_task_whose_items_come_one_by_one(kind: str, tmp_path: Path) -> None:
    gate = str(tmp_path / "gate")

    @tn.remote
    def plain(path: str) -> Any:
        yield 1
        while not os.path.exists(path):
            time.sleep(0.005)
        yield 2

    @tn.remote
    async def coroutine(path: str) -> Any:
        yield 1
        while not os.path.exists(path):
            await asyncio.sleep(0.005)
        yield 2

    items = (plain if kind == "sync" else coroutine).remote(gate)
    assert tn.get(next(items), timeout=10) == 1
    Path(gate).touch()
    assert [tn.get(ref) for ref in items] == [2]


def test_a_generator_that_raises_in_the_middle_gives_what_it_had() -> None:
    @tn.remote
    def counts() -> Any:
        yield from range(3)
        raise RuntimeError("three is enough")

    items = counts.remote()
    assert [tn.get(next(items)) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(RuntimeError, match="three is enough"):
        next(items)


def test_a_generator_that_nobody_reads_lets_go_of_its_worker() -> None:
    @tn.remote
    def large() -> Any:
        for at in range(10):
            yield bytes([at]) * 200_000

    items = large.remote()
    next(items)
    over = items.completed()
    del items
    assert tn.get(over, timeout=10) is None


def test_a_task_waits_for_references_among_its_arguments_and_takes_their_values(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    late = after.remote(str(gate), 5)
    total = add.remote(1, late, more=late)
    assert tn.wait([total], timeout=0.1)[0] == []
    gate.touch()
    assert tn.get(total) == 11


def test_references_inside_an_argument_stay_references() -> None:
    @tn.remote
    def kinds(plain: Any, inside: dict[str, list[Any]]) -> tuple[str, str, Any]:
        ref = inside["list"][0]
        return type(plain).__name__, type(ref).__name__, tn.get(ref)

    ref = tn.put(7)
    assert tn.get(kinds.remote(ref, {"list": [ref]})) == ("int", "ObjectRef", 7)


def test_tasks_run_side_by_side_as_far_as_there_are_cpus(tmp_path: Path) -> None:
    gates = [tmp_path / str(at) for at in range(8)]

    @tn.remote
    def meet(mine: str, all_of_them: list[str]) -> bool:
        Path(mine).touch()
        deadline = time.monotonic() + 20
        while not all(map(os.path.exists, all_of_them)):
            if time.monotonic() > deadline:
                return False
            time.sleep(0.01)
        return True

    names = [str(gate) for gate in gates]
    assert tn.get([meet.remote(name, names) for name in names], timeout=30) == [True] * 8


def test_a_worker_is_used_again_for_the_next_task() -> None:
    first = tn.get(pid.remote())
    assert tn.get([pid.remote() for _ in range(3)][-1]) > 0
    again = {tn.get(pid.remote()) for _ in range(20)}
    assert len(again) == 1 or first in again


def test_options_of_one_call_change_what_it_needs() -> None:
    @tn.remote(num_gpus=1)
    def devices() -> tuple[list[int], str]:
        return tn.get_gpu_ids(), os.environ["CUDA_VISIBLE_DEVICES"]

    ids, seen = tn.get(devices.remote())
    assert seen == ",".join(map(str, ids))
    assert len(tn.get(devices.options(num_gpus=3).remote())[0]) == 3


@pytest.mark.parametrize(
    "options", [{"num_gpus": -1}, {"nun_gpus": 1}, {"max_retries": -2}, {"runtime_env": {"conda": ["x"]}}]
)
def test_wrong_options_are_refused_where_they_are_written(options: dict[str, Any]) -> None:
    with pytest.raises(tn.ConfigError):
        add.options(**options)


def test_variables_of_a_runtime_env_are_those_of_the_worker() -> None:
    @tn.remote(runtime_env={"env_vars": {"FLAVOUR": "salt"}})
    def flavour() -> str | None:
        return os.environ.get("FLAVOUR")

    assert tn.get(flavour.remote()) == "salt"
    assert tn.get(flavour.options(runtime_env=None).remote()) is None


def test_what_no_box_will_ever_have_waits_and_can_be_cancelled() -> None:
    ref = add.options(num_gpus=7).remote(1)
    assert tn.wait([ref], timeout=0.2)[0] == []
    tn.cancel(ref)
    with pytest.raises(tn.CancelledError):
        tn.get(ref, timeout=10)


# ---- workers that are lost ----


@pytest.mark.parametrize(("retries", "tries"), [(0, 1), (2, 3)])
def test_a_task_whose_worker_dies_is_tried_again_so_often(retries: int, tries: int, tmp_path: Path) -> None:
    tried = tmp_path / "tried"

    @tn.remote(max_retries=retries)
    def dies() -> None:
        with open(tried, "a") as file:
            file.write("x")
        os.kill(os.getpid(), signal.SIGKILL)

    with pytest.raises(tn.WorkerDiedError, match="signal 9"):
        tn.get(dies.remote(), timeout=30)
    assert tried.read_text() == "x" * tries


def test_sys_exit_in_a_task_ends_its_worker() -> None:
    @tn.remote(max_retries=0)
    def leaves() -> None:
        raise SystemExit(5)

    with pytest.raises(tn.WorkerDiedError, match="exit code 5"):
        tn.get(leaves.remote(), timeout=10)


@pytest.mark.parametrize(("retry_exceptions", "expected"), [(False, "x"), (True, "xxx")])
def test_exceptions_use_retries_only_if_they_are_told_to(retry_exceptions: bool, expected: str, tmp_path: Path) -> None:
    tried = tmp_path / "tried"

    @tn.remote(max_retries=2, retry_exceptions=retry_exceptions)
    def raises() -> None:
        with open(tried, "a") as file:
            file.write("x")
        raise OSError("again?")

    with pytest.raises(OSError, match=r"again\?"):
        tn.get(raises.remote(), timeout=30)
    assert tried.read_text() == expected


def test_other_tasks_do_not_notice_the_death_of_a_worker() -> None:
    @tn.remote(max_retries=0)
    def dies() -> None:
        os._exit(1)

    refs = [add.remote(at) for at in range(50)]
    dead = dies.remote()
    refs += [add.remote(at) for at in range(50)]
    assert tn.get(refs, timeout=30) == [*range(50), *range(50)]
    with pytest.raises(tn.WorkerDiedError):
        tn.get(dead, timeout=10)


# ---- tasks within tasks ----


@tn.remote
def depth(left: int, how: str) -> int:
    """Each level waits for the next, in one of the ways of waiting."""
    if left == 0:
        return 0
    deeper = depth.remote(left - 1, how)
    if how == "wait":
        while not tn.wait([deeper], timeout=1)[0]:
            pass
    if how == "await":

        async def value() -> int:
            return await deeper

        return 1 + asyncio.run(value())
    if how == "thread":
        found: list[int] = []
        thread = threading.Thread(target=lambda: found.append(tn.get(deeper)))
        thread.start()
        thread.join()
        return 1 + found[0]
    return 1 + tn.get(deeper)


@tn.remote
def depth_of_generators(left: int) -> Any:
    if left > 0:
        for ref in depth_of_generators.remote(left - 1):
            yield tn.get(ref)
    yield left


@pytest.fixture
def narrow(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A program of its own on a head with one CPU: says what its lines evaluate to."""
    source = """
import sys
import twinkle_node as tn
import test_tasks as here
tn.init("local", num_cpus=1)
print("joined", flush=True)
for line in sys.stdin:
    try:
        print(repr(eval(line)), flush=True)
    except BaseException as error:
        print(type(error).__name__, *str(error).splitlines()[:1], flush=True)
"""
    path = os.pathsep.join((str(Path(__file__).parent), str(Path(__file__).parents[2])))
    process = program(source, str(tmp_path_factory.mktemp("none")), PYTHONPATH=path)
    assert said(process) == "joined"

    def ask(line: str) -> str:
        assert process.stdin is not None
        process.stdin.write(line + "\n")
        process.stdin.flush()
        return said(process)

    yield ask
    end(process)


@pytest.mark.parametrize("how", ["get", "wait", "await", "thread"])
def test_nested_tasks_do_not_deadlock_with_fewer_cpus_than_levels(narrow: Any, how: str) -> None:
    assert narrow(f"tn.get(here.depth.remote(4, {how!r}), timeout=20)") == "4"


def test_nested_generators_do_not_deadlock_with_fewer_cpus_than_levels(narrow: Any) -> None:
    assert narrow("[tn.get(ref, timeout=20) for ref in here.depth_of_generators.remote(3)]") == "[0, 1, 2, 3]"


def test_a_thousand_tasks_on_one_cpu(narrow: Any) -> None:
    assert narrow("sum(tn.get([here.add.remote(at) for at in range(1000)], timeout=30))") == "499500"


# ---- programs that end ----

DRIVER = """
import os, time, twinkle_node as tn
import numpy as np
tn.init("auto")

@tn.remote
def forever(path):
    open(path, "w").write(str(os.getpid()))
    time.sleep(600)

@tn.remote
class Actor:
    def __init__(self):
        self.kept = []
    def keep(self, refs):
        self.kept += refs
        return os.getpid()

actor = Actor.options(num_gpus=1).remote()
kept = tn.put(np.zeros(2_000_000))
pids = [tn.get(actor.keep.remote([kept]))]
running = forever.remote(os.environ["RUNNING"])
while not os.path.exists(os.environ["RUNNING"]) or not open(os.environ["RUNNING"]).read():
    time.sleep(0.01)
pids.append(int(open(os.environ["RUNNING"]).read()))
print(*pids, flush=True)
tn.get(running)
"""


@pytest.mark.usefixtures("everything_free")
def test_a_driver_that_is_killed_while_it_waits_leaves_nothing(cluster: ClusterInfo, tmp_path: Path) -> None:
    eventually(lambda: tn.available_resources() == tn.cluster_resources())
    before = status(cluster.home)["work"]
    driver = program(DRIVER, cluster.home, RUNNING=str(tmp_path / "running"))
    pids = [int(one) for one in said(driver).split()]
    during = status(cluster.home)["work"]
    assert during["drivers"] == before["drivers"] + 1
    assert during["store"]["usedBytes"] >= before["store"]["usedBytes"] + 16_000_000
    os.kill(driver.pid, signal.SIGKILL)
    driver.wait()
    eventually(lambda: not any(map(alive, pids)))

    def as_before() -> bool:
        now = status(cluster.home)["work"]
        return (now["drivers"], now["actors"], now["leases"], now["store"]["usedBytes"]) == (
            *(before["drivers"], before["actors"], before["leases"], before["store"]["usedBytes"]),
        )

    eventually(as_before)
    sockets = {path.name for path in Path(cluster.home).glob("run/*/w*.s")}
    workers = status(cluster.home)["work"]["workers"]
    eventually(lambda: len({path.name for path in Path(cluster.home).glob("run/*/w*.s")}) <= workers, f"{sockets}")


def test_a_program_with_a_head_of_its_own_that_is_killed_leaves_nothing(tmp_path: Path) -> None:
    driver = program(
        """
import os, twinkle_node as tn
info = tn.init("local", num_cpus=2)

@tn.remote
class Actor:
    def pid(self):
        return os.getpid()

actor = Actor.remote()
from twinkle_node.core import api
print(info.home, tn.get(actor.pid.remote()), api._head._process.pid, flush=True)
import time; time.sleep(600)
""",
        str(tmp_path / "none"),
    )
    home, actor, head = said(driver).split()
    os.kill(driver.pid, signal.SIGKILL)
    driver.wait()
    eventually(lambda: not alive(int(actor)) and not alive(int(head)))
    assert not Path(home).exists()


def test_joining_twice_is_refused_unless_it_is_ignored(cluster: ClusterInfo) -> None:
    with pytest.raises(tn.TwinkleError, match="joined already"):
        tn.init()
    assert tn.init(ignore_reinit_error=True) == cluster
    assert tn.is_initialized()


def test_a_program_without_a_head_is_told_how_to_have_one(tmp_path: Path) -> None:
    other = program(
        """
import twinkle_node as tn
for call in (lambda: tn.init("auto"), lambda: tn.put(1), lambda: tn.init("tcp://1.2.3.4")):
    try:
        call()
    except tn.TwinkleError as error:
        print(error.code)
print(tn.is_initialized())
""",
        str(tmp_path / "none"),
    )
    assert end(other).split() == ["HEAD_UNREACHABLE", "USAGE", "CONFIG_INVALID", "False"]


def test_nodes_and_resources_are_as_the_head_offers_them(cluster: ClusterInfo) -> None:
    (node,) = tn.nodes()
    assert node["NodeID"] == cluster.node_id
    assert node["Alive"]
    assert tn.cluster_resources()["CPU"] == 8
    assert tn.cluster_resources()["GPU"] == 6
