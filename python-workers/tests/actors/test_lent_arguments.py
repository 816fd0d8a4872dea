"""Arguments of some hundred kilobytes, which callers lend to workers: always what they were, however long they are kept."""

from __future__ import annotations

import gc
import os
import signal
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from actors_support import eventually, program, said

import twinkle_node as tn
from twinkle_node.core.api import ClusterInfo
from twinkle_node.core.client import current

SIZE = 60_000
"""float64s: more than travels with a call, less than lies with the node."""


def filled(number: float) -> Any:
    return np.full(SIZE, number)


def in_use() -> int:
    """Parts of this process's memory that are lent now."""
    gc.collect()
    pool = current().objects._scratch
    scratch = pool._scratch
    if scratch is None:
        return 0
    with pool._lock:
        scratch.take(1 << 40)  # counts what has come back
    return len(scratch._taken)


class Keeper:
    def __init__(self) -> None:
        self.kept: dict[int, Any] = {}

    def keep(self, number: int, array: Any) -> float:
        self.kept[number] = array[1:]
        return float(array.sum())

    def total(self, array: Any) -> float:
        return float(array.sum())

    def drop(self, number: int) -> None:
        del self.kept[number]

    def are_what_they_were(self) -> bool:
        return all((array == number).all() for number, array in self.kept.items())

    def is_read_only(self, array: Any) -> bool:
        return not array.flags.writeable

    def kinds(self, *args: Any, **kwargs: Any) -> list[Any]:
        return [len(args[0]), args[1], kwargs["more"].shape, tn.get(kwargs["ref"][0])]

    def pid(self) -> int:
        return os.getpid()

    def waits(self, path: str, array: Any) -> float:
        while not os.path.exists(path):
            pass
        return float(array.sum())


class AsyncKeeper(Keeper):
    async def total(self, array: Any) -> float:  # type: ignore[override]
        return float(array.sum())


KINDS = {
    "serial": lambda: tn.remote(Keeper).remote(),
    "threads": lambda: tn.remote(max_concurrency=4)(Keeper).remote(),
    "coroutines": lambda: tn.remote(AsyncKeeper).remote(),
}


@pytest.fixture(params=KINDS)
def keeper(request: pytest.FixtureRequest) -> Any:
    return KINDS[request.param]()


def test_they_arrive_and_are_given_back(keeper: Any, everything_free: None) -> None:
    assert tn.get(keeper.is_read_only.remote(filled(1)))
    assert [tn.get(keeper.total.remote(filled(number))) for number in range(50)] == [SIZE * n for n in range(50)]
    assert current().objects._scratch._scratch is not None  # it was lent, not kept by the node
    assert eventually(lambda: in_use() == 0)


def test_what_an_actor_keeps_does_not_change_with_later_calls(keeper: Any) -> None:
    for number in range(5):
        tn.get(keeper.keep.remote(number, filled(number)))
    assert in_use() == 5
    for number in range(100):
        assert tn.get(keeper.total.remote(filled(number + 1000))) == SIZE * (number + 1000)
    assert tn.get(keeper.are_what_they_were.remote())
    for number in range(5):
        tn.get(keeper.drop.remote(number))
    assert eventually(lambda: in_use() == 0)


def test_more_than_there_is_room_for_is_kept_by_the_node(keeper: Any) -> None:
    refs = [keeper.keep.remote(number, filled(number)) for number in range(40)]  # 19 MB
    assert tn.get(refs) == [SIZE * number for number in range(40)]
    assert tn.get(keeper.are_what_they_were.remote())


def test_with_text_references_and_keywords() -> None:
    actor = tn.remote(Keeper).remote()
    ref = tn.put("inside")
    got = tn.get(actor.kinds.remote("x" * 200_000, b"bytes", more=np.zeros((300, 400)), ref=[ref]))
    assert got == [200_000, b"bytes", (300, 400), "inside"]


def test_of_tasks_and_of_several_threads_at_once() -> None:
    @tn.remote
    def total(array: Any) -> float:
        return float(array.sum())

    wrong: list[int] = []

    def work(base: int) -> None:
        numbers = range(base, base + 30)
        wrong.extend(number for number in numbers if tn.get(total.remote(filled(number))) != SIZE * number)

    threads = [threading.Thread(target=work, args=(1000 * at,)) for at in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert eventually(lambda: in_use() == 0)


def test_of_a_call_that_is_cancelled_before_it_begins_they_come_back(tmp_path: Path) -> None:
    actor = tn.remote(Keeper).remote()
    gate = tmp_path / "gate"
    first = actor.waits.remote(str(gate), filled(1))
    waiting = [actor.total.remote(filled(number)) for number in range(5)]
    for ref in waiting:
        tn.cancel(ref)
    gate.touch()
    assert tn.get(first) == SIZE
    for ref in waiting:
        with pytest.raises(tn.CancelledError):
            tn.get(ref, timeout=10)
    assert eventually(lambda: in_use() == 0)


def test_a_call_that_is_sent_again_has_them_and_their_memory_is_not_used_for_others(tmp_path: Path) -> None:
    actor = tn.remote(max_restarts=1, max_task_retries=1)(Keeper).remote()
    gate = tmp_path / "gate"
    pid = tn.get(actor.pid.remote())
    call = actor.waits.remote(str(gate), filled(7))
    eventually(lambda: in_use() == 1)
    before = current().objects._scratch._scratch
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: before is not None and before.spoilt)
    other = tn.remote(Keeper).remote()
    for number in range(30):
        assert tn.get(other.total.remote(filled(number))) == SIZE * number
    assert current().objects._scratch._scratch is not before
    gate.touch()
    assert tn.get(call, timeout=20) == SIZE * 7
    assert tn.get(actor.pid.remote()) != pid


def test_a_worker_without_files_left_fails_those_calls_alone() -> None:
    @tn.remote
    class Greedy:
        def take(self) -> None:
            import resource

            self.limits = resource.getrlimit(resource.RLIMIT_NOFILE)
            used = max(map(int, os.listdir("/proc/self/fd")))
            resource.setrlimit(resource.RLIMIT_NOFILE, (used, self.limits[1]))
            self.files = []
            try:
                while True:
                    self.files.append(os.open("/dev/null", os.O_RDONLY))
            except OSError:
                pass

        def total(self, array: Any) -> float:
            return float(array.sum())

        def ping(self) -> str:
            return "pong"

    actor = Greedy.remote()
    tn.get(actor.take.remote())
    with pytest.raises(OSError, match="Too many open files"):
        tn.get(actor.total.remote(filled(1)), timeout=10)
    assert tn.get(actor.ping.remote(), timeout=10) == "pong"


def test_arguments_of_a_constructor_are_there_for_every_life() -> None:
    @tn.remote(max_restarts=1, max_task_retries=1)
    class Made:
        def __init__(self, array: Any) -> None:
            self.array = array

        def total(self) -> tuple[int, float]:
            return os.getpid(), float(self.array.sum())

    actor = Made.remote(filled(3))
    pid, total = tn.get(actor.total.remote())
    os.kill(pid, signal.SIGKILL)
    again, same = tn.get(actor.total.remote(), timeout=20)
    assert again != pid
    assert total == same == SIZE * 3


def test_what_an_actor_keeps_of_a_program_that_was_killed_stays_what_it_was(cluster: ClusterInfo) -> None:
    actor = tn.remote(name="survivor")(Keeper).remote()
    lender = program(
        "import numpy as np, twinkle_node as tn\n"
        "tn.init('auto')\n"
        "actor = tn.get_actor('survivor')\n"
        f"tn.get([actor.keep.remote(n, np.full({SIZE}, float(n))) for n in range(8)])\n"
        "print('kept', flush=True)\n"
        "import time; time.sleep(600)\n",
        cluster.home,
    )
    try:
        assert said(lender) == "kept"
    finally:
        lender.kill()
        lender.communicate()
    for number in range(30):
        tn.get(actor.total.remote(filled(number)))
    assert tn.get(actor.are_what_they_were.remote())
