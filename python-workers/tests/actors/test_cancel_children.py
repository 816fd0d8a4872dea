"""What a call has started, when that is cancelled."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from typing import Any

import pytest
from actors_support import alive, eventually

import twinkle_node as tn

pytestmark = pytest.mark.usefixtures("everything_free")


@tn.remote(num_cpus=0)
def child(folder: str, name: str) -> None:
    sleeps(folder, name)


@tn.remote(num_cpus=0)
def parent(folder: str, depth: int, waits: bool) -> None:
    refs = [child.remote(folder, f"child-{depth}")]
    if depth > 1:
        refs.append(parent.remote(folder, depth - 1, waits))
    Path(folder, f"parent-{depth}").touch()
    if waits:
        tn.get(refs)
    while True:
        time.sleep(0.01)


@tn.remote(num_cpus=0)
class Worker:
    async def work(self, folder: str, name: str) -> None:
        Path(folder, name).touch()
        try:
            await asyncio.sleep(600)
        finally:
            Path(folder, f"{name}-ended").touch()

    async def work_by_others(self, folder: str, other: Any, name: str) -> None:
        await asyncio.gather(child.remote(folder, f"{name}-task"), other.work.remote(folder, f"{name}-call"))


@tn.remote(num_cpus=0)
class Threads:
    def work_by_others(self, folder: str, other: Any, name: str) -> None:
        tn.get([child.remote(folder, f"{name}-task"), other.work.remote(folder, f"{name}-call")])


def sleeps(folder: str, name: str) -> None:
    Path(folder, name).write_text(str(os.getpid()))
    try:
        time.sleep(600)
    finally:
        Path(folder, f"{name}-ended").touch()


def there(folder: Path, *names: str) -> None:
    for name in names:
        eventually((folder / name).exists, name)


@pytest.mark.parametrize("waits", [True, False])
def test_what_a_task_has_started_is_cancelled_with_it_however_far_down(waits: bool, tmp_path: Path) -> None:
    ref = parent.remote(str(tmp_path), 3, waits)
    names = [f"child-{depth}" for depth in (1, 2, 3)]
    there(tmp_path, *names, "parent-1", "parent-2", "parent-3")
    tn.cancel(ref)
    with pytest.raises(tn.CancelledError):
        tn.get(ref, timeout=10)
    there(tmp_path, *(f"{name}-ended" for name in names))


def test_not_recursive_leaves_them(tmp_path: Path) -> None:
    @tn.remote(num_cpus=0)
    def starts(folder: str, gate: str) -> str:
        ref = child.remote(folder, "child")
        try:
            while True:
                time.sleep(0.01)
        except KeyboardInterrupt:
            while not os.path.exists(gate):
                time.sleep(0.01)
            try:
                tn.get(ref, timeout=0.1)
            except TimeoutError:
                tn.cancel(ref)
                return "it runs"
        return ""

    ref = starts.remote(str(tmp_path), str(tmp_path / "gate"))
    there(tmp_path, "child")
    tn.cancel(ref, recursive=False)
    (tmp_path / "gate").touch()
    assert tn.get(ref, timeout=10) == "it runs"


def test_others_of_the_same_worker_and_calls_of_before_are_left_alone(tmp_path: Path) -> None:
    @tn.remote
    def leaves_one(folder: str, keeper: Any) -> int:
        keeper.work.remote(folder, "before")
        return os.getpid()

    @tn.remote
    def starts(folder: str, keeper: Any) -> None:
        keeper.work.remote(folder, "mine")
        Path(folder, "pid").write_text(str(os.getpid()))
        time.sleep(600)

    keeper = Worker.remote()
    pid = tn.get(leaves_one.remote(str(tmp_path), keeper))
    there(tmp_path, "before")
    ref = starts.remote(str(tmp_path), keeper)
    there(tmp_path, "mine", "pid")
    assert int((tmp_path / "pid").read_text()) == pid
    tn.cancel(ref)
    there(tmp_path, "mine-ended")
    assert not (tmp_path / "before-ended").exists()


def test_by_force_too(tmp_path: Path) -> None:
    ref = parent.remote(str(tmp_path), 2, True)
    there(tmp_path, "child-1", "child-2")
    pids = [int((tmp_path / f"child-{depth}").read_text()) for depth in (1, 2)]
    tn.cancel(ref, force=True)
    with pytest.raises(tn.CancelledError):
        tn.get(ref, timeout=10)
    eventually(lambda: not any(map(alive, pids)))


@pytest.mark.parametrize("kind", ["coroutine", "threads", "serial"])
@pytest.mark.parametrize("recursive", [True, False])
def test_what_a_method_has_started(kind: str, recursive: bool, tmp_path: Path) -> None:
    worker = Worker.remote()
    made: Any = {
        "coroutine": Worker,
        "threads": Threads.options(max_concurrency=2),
        "serial": Threads,
    }[kind].remote()
    mine = made.work_by_others.remote(str(tmp_path), worker, "mine")
    other = None if kind == "serial" else made.work_by_others.remote(str(tmp_path), worker, "other")
    there(tmp_path, "mine-task", "mine-call", *([] if other is None else ["other-task", "other-call"]))
    tn.cancel(mine, recursive=recursive)
    if recursive:
        with pytest.raises(tn.CancelledError):
            tn.get(mine, timeout=10)
        there(tmp_path, "mine-task-ended", "mine-call-ended")
    elif kind == "coroutine":
        with pytest.raises(tn.CancelledError):
            tn.get(mine, timeout=10)
    else:
        assert tn.wait([mine], timeout=0.1)[0] == []  # a method is left alone
    ended = {path.name for path in tmp_path.iterdir() if path.name.endswith("-ended")}
    assert ended == ({"mine-task-ended", "mine-call-ended"} if recursive else set())
    tn.kill(made)
    tn.kill(worker)
