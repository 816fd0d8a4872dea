"""What goes wrong is told as it was raised, where it is asked for."""

from __future__ import annotations

import mmap
import os
import subprocess
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from actors_support import alive, eventually, program, said

import twinkle_node as tn
from twinkle_node.core.api import ClusterInfo


class Refused(Exception):
    """With more to it than a message."""

    def __init__(self, code: int, *, hint: str) -> None:
        super().__init__(f"refused with {code}")
        self.code = code
        self.hint = hint


@tn.remote
def raises(kind: str) -> None:
    if kind == "refused":
        raise Refused(7, hint="ask again")
    if kind == "chained":
        try:
            raise KeyError("inner")
        except KeyError as error:
            raise RuntimeError("outer") from error
    if kind == "oserror":
        raise FileNotFoundError(2, "no such file", "/nowhere")
    if kind == "local":

        class Local(ValueError):
            pass

        raise Local("of a class that only the worker has")
    if kind == "unpicklable":
        error = ValueError("with a lock")
        error.lock = threading.Lock()  # type: ignore[attr-defined]
        raise error
    if kind == "interrupt":
        raise KeyboardInterrupt
    raise ValueError(kind)


class Raiser:
    def raises(self, kind: str) -> None:
        raise LookupError(kind)

    async def later(self, kind: str) -> None:
        raise LookupError(kind)


@pytest.mark.parametrize(
    ("kind", "expected", "words"),
    [
        ("plain", ValueError, "plain"),
        ("refused", Refused, "refused with 7"),
        ("chained", RuntimeError, "outer"),
        ("oserror", FileNotFoundError, "no such file"),
        ("local", ValueError, "only the worker has"),
        ("unpicklable", ValueError, "with a lock"),
        ("interrupt", tn.TaskError, "KeyboardInterrupt"),
    ],
)
def test_an_exception_is_of_its_class_and_a_task_error_with_the_remote_traceback(
    kind: str, expected: type[BaseException], words: str
) -> None:
    with pytest.raises(tn.TaskError) as caught:
        tn.get(raises.remote(kind), timeout=10)
    error = caught.value
    assert isinstance(error, expected)
    assert words in str(error)
    assert "in raises" in error.remote_traceback
    assert "test_errors.py" in str(error)
    assert "task raises" in error.remote_where


def test_attributes_and_causes_of_an_exception_arrive() -> None:
    with pytest.raises(Refused) as caught:
        tn.get(raises.remote("refused"))
    assert (caught.value.code, caught.value.hint) == (7, "ask again")
    with pytest.raises(RuntimeError) as outer:
        tn.get(raises.remote("chained"))
    assert "KeyError: 'inner'" in str(outer.value)


@pytest.mark.parametrize("options", [{}, {"max_concurrency": 4}])
def test_methods_raise_as_tasks_do_and_the_actor_lives_on(options: dict[str, Any]) -> None:
    actor = tn.remote(Raiser).options(**options).remote()
    for method in (actor.raises, actor.later):
        with pytest.raises(LookupError, match="lost") as caught:
            tn.get(method.remote("lost"))
        assert "Raiser." in str(caught.value)


def test_an_error_is_raised_anew_by_every_get() -> None:
    ref = raises.remote("plain")
    errors = []
    for _ in range(2):
        with pytest.raises(ValueError, match="plain") as caught:
            tn.get([tn.put(1), ref])
        errors.append(caught.value)
    assert tn.wait([ref])[0] == [ref]


def test_the_error_of_a_task_is_that_of_every_call_that_was_to_take_its_result() -> None:
    @tn.remote
    def never(value: Any) -> None:
        raise AssertionError("it has no argument")

    @tn.remote
    class Takes:
        def take(self, value: Any = None) -> str:
            return "taken"

    failed = raises.remote("refused")
    takes = Takes.remote()
    refs = [never.remote(never.remote(failed)), takes.take.remote(failed), never.remote(never.remote(value=failed))]
    refs = [refs[0], refs[1]]
    for ref in refs:
        with pytest.raises(Refused, match="refused with 7"):
            tn.get(ref, timeout=10)
    assert tn.get(takes.take.remote()) == "taken"


def test_an_error_of_a_task_within_a_task_shows_both_places() -> None:
    @tn.remote
    def outer() -> None:
        tn.get(raises.remote("refused"))

    with pytest.raises(Refused) as caught:
        tn.get(outer.remote(), timeout=10)
    assert caught.value.hint == "ask again"
    assert "in outer" in str(caught.value)
    assert "in raises" in str(caught.value)


@tn.remote
def takes(*values: Any, **named: Any) -> int:
    return len(values) + len(named)


@pytest.mark.parametrize(
    ("make", "path"),
    [
        (lambda: ((threading.Lock(),), {}), "arg[0]"),
        (lambda: ((1, {"a": [0, threading.Lock()]}), {}), "arg[1]['a'][1]"),
        (lambda: ((), {"x": (one for one in ())}), "arg['x']"),
    ],
)
def test_an_argument_that_cannot_travel_is_named_where_the_call_is_made(make: Any, path: str) -> None:
    args, named = make()
    with pytest.raises(tn.SerializationError) as caught:
        takes.remote(*args, **named)
    assert caught.value.path == path
    assert tn.get(takes.remote(1)) == 1


def test_a_result_that_cannot_travel_is_the_error_of_the_call() -> None:
    @tn.remote
    def lock() -> Any:
        return [threading.Lock()]

    with pytest.raises(tn.SerializationError, match=r"the result\[0\]"):
        tn.get(lock.remote(), timeout=10)


def test_a_function_that_closes_over_what_cannot_travel_is_refused() -> None:
    guard = threading.Lock()

    @tn.remote
    def guarded() -> None:
        with guard:
            pass

    with pytest.raises(tn.SerializationError, match="guard"):
        guarded.remote()


def test_a_value_that_cannot_be_read_is_the_error_of_the_call() -> None:
    class Broken:
        def __reduce__(self) -> Any:
            return int, ("no number",)

    with pytest.raises(ValueError, match="no number"):
        tn.get(takes.remote(Broken()), timeout=10)


def test_errors_of_this_package_can_be_told_on() -> None:
    @tn.remote
    def asks(handles: list[Any]) -> Any:
        return tn.get(handles[0].take.remote())

    @tn.remote
    class Takes:
        def take(self) -> None:
            os._exit(3)

    with pytest.raises(tn.ActorDiedError, match="exit code 3"):
        tn.get(asks.remote([Takes.remote()]), timeout=10)


@tn.remote
class Patient:
    def __init__(self) -> None:
        self.there = threading.Event()
        self.asked = 0

    def ask(self) -> str:
        self.asked += 1
        self.there.wait(60)
        return "answered"

    def count(self) -> int:
        return self.asked

    def go_on(self) -> None:
        self.there.set()


def test_a_caller_that_is_killed_while_it_waits_does_not_disturb_the_actor(cluster: ClusterInfo) -> None:
    patient = Patient.options(name="patient", max_concurrency=8).remote()
    mine = patient.ask.remote()
    caller = program(
        """
import twinkle_node as tn
tn.init("auto")
patient = tn.get_actor("patient")
refs = [patient.ask.remote() for _ in range(3)]
print(tn.get(patient.count.remote()), flush=True)
tn.get(refs)
""",
        cluster.home,
    )
    said(caller)
    eventually(lambda: tn.get(patient.count.remote()) == 4)
    caller.kill()
    caller.wait()
    assert tn.wait([mine], timeout=0.1)[0] == []
    tn.get(patient.go_on.remote())
    assert tn.get(mine, timeout=10) == "answered"
    assert tn.get(patient.ask.remote(), timeout=10) == "answered"


def test_a_store_that_is_full_is_a_typed_error(tmp_path: Path) -> None:
    size = int(tn.cluster_resources()["object_store_memory"]) + 4096
    with open(tmp_path / "holes", "wb+") as file:
        file.truncate(size)  # nobody reads it, for there is no room
        large = np.frombuffer(mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ), np.uint8)
    with pytest.raises(tn.TwinkleError) as caught:
        tn.put(large)
    assert caught.value.code == "SHM_FULL"
    with pytest.raises(tn.TwinkleError) as caught:
        takes.remote(large)
    assert caught.value.code == "SHM_FULL"
    assert tn.get(tn.put(np.ones(300_000)))[0] == 1


def test_a_subprocess_of_a_worker_that_outlives_its_call_ends_with_the_worker() -> None:
    @tn.remote
    class Starts:
        def start(self) -> int:
            return subprocess.Popen(["sleep", "600"]).pid

    starts = Starts.remote()
    pid = tn.get(starts.start.remote())
    assert alive(pid)
    tn.kill(starts)
    eventually(lambda: not alive(pid))
