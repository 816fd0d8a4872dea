"""Actors: order, concurrency, lives, names, handles."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from actors_support import alive, end, eventually, program, said

import twinkle_node as tn
from twinkle_node.core.api import ClusterInfo


@tn.remote
class Notes:
    """Writes down what it is told."""

    def __init__(self, first: Any = None) -> None:
        self.notes = [] if first is None else [first]

    def note(self, what: Any) -> int:
        self.notes.append(what)
        return len(self.notes)

    def all(self) -> list[Any]:
        return self.notes

    def pid(self) -> int:
        return os.getpid()

    def die(self, code: int = 1) -> None:
        os._exit(code)

    def exit(self, code: Any) -> None:
        raise SystemExit(code)


@tn.remote
def after(path: str, value: Any) -> Any:
    """The value, once that file is there."""
    while not os.path.exists(path):
        time.sleep(0.005)
    return value


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    """A file that opens what waits for it."""
    return tmp_path / "gate"


# ---- order ----


def test_calls_of_one_caller_run_in_their_order() -> None:
    notes = Notes.remote()
    for at in range(500):
        notes.note.remote(at)
    assert tn.get(notes.all.remote()) == list(range(500))


def test_a_call_that_waits_for_its_argument_holds_up_those_behind_it(gate: Path) -> None:
    notes = Notes.remote()
    notes.note.remote("first")
    late = notes.note.remote(after.remote(str(gate), "late"))
    last = notes.note.remote("last")
    assert tn.wait([late, last], timeout=0.1) == ([], [late, last])
    gate.touch()
    assert tn.get(last) == 3
    assert tn.get(notes.all.remote()) == ["first", "late", "last"]


def test_the_result_of_a_quick_call_does_not_wait_for_the_slow_one_behind_it(gate: Path) -> None:
    @tn.remote
    class Worker:
        def quick(self) -> int:
            return 1

        def slow(self, path: str) -> int:
            while not os.path.exists(path):
                time.sleep(0.005)
            return 2

    worker = Worker.remote()
    first = worker.slow.remote(f"{gate} of the first")
    # They wait together, so that the worker takes them in at once.
    quick = [worker.quick.remote() for _ in range(5)]
    slow = worker.slow.remote(str(gate))
    Path(f"{gate} of the first").touch()
    assert tn.get([first, *quick], timeout=10) == [2, 1, 1, 1, 1, 1]
    gate.touch()
    assert tn.get(slow) == 2


def test_calls_from_several_programs_and_threads_are_all_counted() -> None:
    notes = Notes.remote()

    @tn.remote
    def tell(to: Any, count: int) -> int:
        return max(tn.get([to.note.remote(at) for at in range(count)]))

    threads = [threading.Thread(target=lambda: tn.get([notes.note.remote(0) for _ in range(100)])) for _ in range(4)]
    for thread in threads:
        thread.start()
    tn.get([tell.remote(notes, 100) for _ in range(3)])
    for thread in threads:
        thread.join()
    assert len(tn.get(notes.all.remote())) == 700


# ---- several calls at once ----


class Meeting:
    """Its calls end only when enough of them are there at once."""

    def __init__(self, size: int) -> None:
        self.barrier = threading.Barrier(size)
        self.there = 0
        self.most = 0
        self.lock = threading.Lock()

    def meet(self) -> int:
        return self.barrier.wait(timeout=10)

    def stay(self) -> None:
        with self.lock:
            self.there += 1
            self.most = max(self.most, self.there)
        time.sleep(0.01)
        with self.lock:
            self.there -= 1

    def crowd(self) -> int:
        return self.most

    @tn.method(concurrency_group="io")
    def read(self) -> str:
        return threading.current_thread().name


def test_max_concurrency_lets_so_many_calls_run_at_once() -> None:
    meeting = tn.remote(max_concurrency=3, concurrency_groups={"io": 1})(Meeting).remote(3)
    assert sorted(tn.get([meeting.meet.remote() for _ in range(3)], timeout=15)) == [0, 1, 2]


def test_max_concurrency_lets_no_more_run_at_once() -> None:
    meeting = tn.remote(max_concurrency=2, concurrency_groups={"io": 1})(Meeting).remote(1)
    tn.get([meeting.stay.remote() for _ in range(10)])
    assert tn.get(meeting.crowd.remote()) == 2


def test_a_concurrency_group_answers_while_the_other_calls_wait(gate: Path) -> None:
    @tn.remote(concurrency_groups={"io": 1, "compute": 1})
    class Grouped:
        @tn.method(concurrency_group="io")
        def io(self) -> str:
            return "io"

        def compute(self, path: str) -> str:
            while not os.path.exists(path):
                time.sleep(0.005)
            return "computed"

        def where(self) -> str:
            return threading.current_thread().name

    grouped = Grouped.remote()
    busy = [grouped.compute.remote(str(gate)), grouped.compute.options(concurrency_group="compute").remote(str(gate))]
    assert tn.get(grouped.io.remote(), timeout=10) == "io"
    assert tn.wait(busy, timeout=0)[0] == []
    gate.touch()
    assert tn.get(busy) == ["computed", "computed"]
    assert "compute" in tn.get(grouped.where.options(concurrency_group="compute").remote())


def test_a_method_of_a_group_that_is_not_declared_is_refused() -> None:
    with pytest.raises(tn.ConfigError, match="concurrency group `io`"):
        tn.remote(Meeting).remote(1)


def test_a_call_in_a_group_that_is_not_there_fails() -> None:
    notes = Notes.options(concurrency_groups={"io": 1}).remote()
    with pytest.raises(tn.TwinkleError, match="nowhere"):
        tn.get(notes.all.options(concurrency_group="nowhere").remote(), timeout=10)


# ---- coroutines ----


@tn.remote
class Signal:
    """Of coroutines."""

    def __init__(self) -> None:
        import asyncio

        self.event = asyncio.Event()
        self.there = 0
        self.most = 0

    async def wait(self) -> str:
        self.there += 1
        self.most = max(self.most, self.there)
        await self.event.wait()
        self.there -= 1
        return "sent"

    def send(self) -> None:
        self.event.set()

    async def send_later(self, ref_in_list: list[Any]) -> Any:
        value = await ref_in_list[0]
        self.event.set()
        return value

    async def crowd(self) -> int:
        return self.most

    async def gather(self, refs: list[Any]) -> list[Any]:
        import asyncio

        return list(await asyncio.gather(*refs))

    async def large(self, ref_in_list: list[Any]) -> int:
        return len(await ref_in_list[0])


def test_coroutines_of_an_actor_run_side_by_side() -> None:
    actor = Signal.remote()
    waiting = [actor.wait.remote() for _ in range(200)]
    tn.get(actor.send.remote())
    assert tn.get(waiting, timeout=10) == ["sent"] * 200


def test_max_concurrency_bounds_coroutines_too(gate: Path) -> None:
    actor = Signal.options(max_concurrency=3).remote()
    waiting = [actor.wait.remote() for _ in range(3)]
    late = actor.send_later.remote([after.remote(str(gate), "value")])
    assert tn.wait([late], timeout=0.1)[0] == []
    gate.touch()
    assert tn.wait([late], timeout=0.3)[0] == []  # the three that wait have all places
    tn.kill(actor)
    for ref in (*waiting, late):
        with pytest.raises(tn.ActorDiedError):
            tn.get(ref)


def test_a_coroutine_awaits_references(gate: Path) -> None:
    actor = Signal.remote()
    waiting = actor.wait.remote()
    sent = actor.send_later.remote([after.remote(str(gate), "value")])
    gate.touch()
    assert tn.get([waiting, sent], timeout=10) == ["sent", "value"]
    refs = [after.remote(str(gate), at) for at in range(20)]
    assert tn.get(actor.gather.remote(refs), timeout=10) == list(range(20))
    assert tn.get(actor.large.remote([tn.put(b"x" * 1_000_000)]), timeout=10) == 1_000_000


def test_a_coroutine_that_awaits_a_failed_reference_sees_the_exception() -> None:
    @tn.remote
    def fails() -> None:
        raise KeyError("gone")

    with pytest.raises(KeyError):
        tn.get(Signal.remote().gather.remote([fails.remote()]), timeout=10)


def test_an_async_actor_is_of_no_use_to_who_waits_for_order_but_answers_all() -> None:
    actor = Signal.remote()
    assert tn.get([actor.crowd.remote() for _ in range(1000)], timeout=20) == [0] * 1000


# ---- lives ----


def restarted(actor: Any, before: int) -> int:
    """Its process after the next start."""

    def look() -> int:
        try:
            pid = tn.get(actor.pid.remote(), timeout=10)
        except tn.ActorDiedError as error:
            if not error.restarting:
                raise
            return 0
        return pid if pid != before else 0

    return eventually(look)


def test_max_restarts_starts_it_again_with_its_constructor_and_without_its_state() -> None:
    @tn.remote(max_restarts=2)
    class Phoenix:
        def __init__(self, start: int) -> None:
            self.value = start

        def add(self) -> int:
            self.value += 1
            return self.value

        def pid(self) -> int:
            return os.getpid()

        def reborn(self) -> bool:
            return tn.get_runtime_context().was_current_actor_reconstructed

    phoenix = Phoenix.remote(10)
    assert tn.get([phoenix.add.remote(), phoenix.reborn.remote()]) == [11, False]
    pid = tn.get(phoenix.pid.remote())
    for _ in range(2):
        os.kill(pid, signal.SIGKILL)
        pid = restarted(phoenix, pid)
        assert tn.get([phoenix.add.remote(), phoenix.reborn.remote()]) == [11, True]
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: not alive(pid))
    with pytest.raises(tn.ActorDiedError, match="signal 9") as caught:
        tn.get([phoenix.add.remote() for _ in range(100)], timeout=10)
    assert caught.value.pid == pid
    assert not caught.value.restarting


def test_without_restarts_a_death_fails_what_was_called_and_what_is_called_after() -> None:
    notes = Notes.remote()
    tn.get(notes.note.remote(1))
    called = [notes.die.remote(7), notes.note.remote(2)]
    for ref in (*called, notes.note.remote(3)):
        with pytest.raises(tn.ActorDiedError, match="exit code 7"):
            tn.get(ref, timeout=10)


def test_max_task_retries_repeats_calls_that_a_death_interrupted(tmp_path: Path) -> None:
    @tn.remote(max_restarts=-1, max_task_retries=-1)
    class Shaky:
        def once_more(self, path: str) -> str:
            if not os.path.exists(path):
                Path(path).touch()
                os._exit(1)
            return "done"

        def add(self, number: int) -> int:
            return number

    shaky = Shaky.remote()
    refs = [shaky.add.remote(1), shaky.once_more.remote(str(tmp_path / "tried")), shaky.add.remote(2)]
    assert tn.get(refs, timeout=20) == [1, "done", 2]


def test_max_task_retries_of_one_call(tmp_path: Path) -> None:
    @tn.remote(max_restarts=5)
    class Fatal:
        def die(self, path: str) -> None:
            with open(path, "a") as file:
                file.write("x")
            os._exit(1)

    fatal = Fatal.remote()
    tried = tmp_path / "tried"
    with pytest.raises(tn.ActorDiedError) as caught:
        tn.get(fatal.die.options(max_task_retries=2).remote(str(tried)), timeout=20)
    assert caught.value.restarting
    assert tried.read_text() == "xxx"


def test_kill_ends_it_for_good() -> None:
    notes = Notes.options(max_restarts=5).remote()
    pid = tn.get(notes.pid.remote())
    tn.kill(notes)
    with pytest.raises(tn.ActorDiedError, match="killed"):
        tn.get(notes.all.remote(), timeout=10)
    eventually(lambda: not alive(pid))


def test_kill_with_restart_starts_it_again() -> None:
    notes = Notes.options(max_restarts=1).remote()
    pid = tn.get(notes.pid.remote())
    tn.kill(notes, no_restart=False)
    assert restarted(notes, pid) != pid
    tn.kill(notes, no_restart=False)
    with pytest.raises(tn.ActorDiedError, match="killed"):
        tn.get([notes.pid.remote() for _ in range(100)], timeout=10)


def test_kill_before_it_lives() -> None:
    @tn.remote
    class Slow:
        def __init__(self) -> None:
            time.sleep(30)

        def ask(self) -> int:
            return 1

    slow = Slow.remote()
    ref = slow.ask.remote()
    tn.kill(slow)
    with pytest.raises(tn.ActorDiedError):
        tn.get(ref, timeout=10)


@pytest.mark.parametrize(("code", "how"), [(0, "exit code 0"), (3, "exit code 3"), ("farewell", "farewell")])
def test_sys_exit_in_a_method_ends_the_actor_and_keeps_what_was_answered(code: Any, how: str) -> None:
    notes = Notes.remote()
    first, last = notes.note.remote(1), notes.exit.remote(code)
    with pytest.raises(tn.ActorDiedError, match=how):
        tn.get(last, timeout=10)
    assert tn.get(first) == 1


@pytest.mark.parametrize("options", [{"max_concurrency": 2}, {"concurrency_groups": {"io": 1}}])
def test_sys_exit_in_a_thread_ends_the_actor_too(options: dict[str, Any]) -> None:
    with pytest.raises(tn.ActorDiedError, match="exit code 3"):
        tn.get(Notes.options(**options).remote().exit.remote(3), timeout=10)


def test_sys_exit_in_a_coroutine_ends_the_actor_too() -> None:
    @tn.remote
    class Leaves:
        async def exit(self) -> None:
            raise SystemExit(3)

    with pytest.raises(tn.ActorDiedError, match="exit code 3"):
        tn.get(Leaves.remote().exit.remote(), timeout=10)


def test_a_constructor_that_raises_is_the_cause_of_the_death_and_is_not_tried_again(tmp_path: Path) -> None:
    tried = tmp_path / "tried"

    @tn.remote(max_restarts=3)
    class Stillborn:
        def __init__(self) -> None:
            with open(tried, "a") as file:
                file.write("x")
            raise ValueError("no such model")

        def ask(self) -> int:
            return 1

    stillborn = Stillborn.remote()
    for _ in range(2):
        with pytest.raises(tn.ActorDiedError, match="constructor raised") as caught:
            tn.get(stillborn.ask.remote(), timeout=10)
        assert isinstance(caught.value.__cause__, ValueError)
        assert "no such model" in str(caught.value.__cause__)
    assert tried.read_text() == "x"


def test_a_constructor_that_exits_is_a_death() -> None:
    @tn.remote
    class Leaves:
        def __init__(self) -> None:
            raise SystemExit(4)

        def ask(self) -> int:
            return 1

    with pytest.raises(tn.ActorDiedError) as caught:
        tn.get(Leaves.remote().ask.remote(), timeout=10)
    assert "SystemExit: 4" in str(caught.value.__cause__)


def test_a_class_that_workers_cannot_import_is_a_typed_death(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "only_here.py").write_text("class Only:\n    def ask(self):\n        return 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))  # after this program has joined: its workers do not look there
    import only_here  # type: ignore[import-not-found]

    with pytest.raises(tn.ActorDiedError) as caught:
        tn.get(tn.remote(only_here.Only).remote().ask.remote(), timeout=10)
    assert isinstance(caught.value.__cause__, ModuleNotFoundError)


def test_a_constructor_takes_references_that_have_no_value_yet(gate: Path) -> None:
    began = time.monotonic()
    notes = Notes.remote(after.remote(str(gate), "late"))
    ref = notes.all.remote()
    assert time.monotonic() - began < 2
    assert tn.wait([ref], timeout=0.1)[0] == []
    gate.touch()
    assert tn.get(ref, timeout=10) == ["late"]


def test_a_constructor_whose_argument_failed_is_a_death_with_that_cause() -> None:
    @tn.remote
    def fails() -> None:
        raise LookupError("no weights")

    notes = Notes.remote(fails.remote())
    with pytest.raises(tn.ActorDiedError) as caught:
        tn.get(notes.all.remote(), timeout=10)
    assert isinstance(caught.value.__cause__, LookupError)


def test_arguments_of_a_constructor_are_there_for_its_next_life() -> None:
    notes = Notes.options(max_restarts=1).remote(tn.put(b"x" * 500_000))
    pid = tn.get(notes.pid.remote())
    os.kill(pid, signal.SIGKILL)
    restarted(notes, pid)
    assert tn.get(notes.all.remote()) == [b"x" * 500_000]


def test_ten_thousand_calls_wait_for_an_actor_that_dies() -> None:
    notes = Notes.remote()
    pid = tn.get(notes.pid.remote())
    os.kill(pid, signal.SIGSTOP)
    refs = [notes.note.remote(at) for at in range(10_000)]
    os.kill(pid, signal.SIGKILL)
    began = time.monotonic()
    ready, left = tn.wait(refs, num_returns=len(refs), timeout=30)
    assert (len(ready), left) == (10_000, [])
    assert time.monotonic() - began < 10
    for ref in (refs[0], refs[5_000], refs[-1]):
        with pytest.raises(tn.ActorDiedError):
            tn.get(ref)


def test_max_pending_calls_refuses_more(gate: Path) -> None:
    notes = Notes.options(max_pending_calls=3).remote()
    refs = [notes.note.remote(after.remote(str(gate), 1)) for _ in range(3)]
    with pytest.raises(tn.TwinkleError, match="max_pending_calls"):
        notes.note.remote(1)
    gate.touch()
    assert tn.get(refs, timeout=10) == [1, 2, 3]
    assert tn.get(notes.note.remote(1)) == 4


# ---- generators ----


@tn.remote
class Teller:
    def count(self, to: int, fail_at: int = -1) -> Any:
        for at in range(to):
            if at == fail_at:
                raise ArithmeticError(f"at {at}")
            yield at

    def large(self, count: int) -> Any:
        for at in range(count):
            yield bytes([at]) * 300_000

    def references(self, count: int) -> Any:
        for at in range(count):
            yield [tn.put(at), tn.put(bytes([at]) * 200_000)]

    def says_no(self) -> Any:
        return (one for one in range(3))


@tn.remote
class AsyncTeller:
    async def count(self, to: int, fail_at: int = -1) -> Any:
        import asyncio

        for at in range(to):
            await asyncio.sleep(0)
            if at == fail_at:
                raise ArithmeticError(f"at {at}")
            yield at


TELLERS = pytest.mark.parametrize("cls", [Teller, AsyncTeller, Teller.options(max_concurrency=2)])


@TELLERS
def test_a_generator_gives_its_items_in_their_order(cls: Any) -> None:
    items = cls.remote().count.remote(50)
    assert isinstance(items, tn.ObjectRefGenerator)
    assert [tn.get(ref) for ref in items] == list(range(50))
    assert tn.get(items.completed()) is None


@TELLERS
def test_a_generator_that_raises_gives_what_it_had_first(cls: Any) -> None:
    items = cls.remote().count.remote(50, 3)
    assert [tn.get(next(items)) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ArithmeticError, match="at 3"):
        next(items)
    assert list(items) == []
    with pytest.raises(ArithmeticError):
        tn.get(items.completed())


def test_an_item_is_there_before_the_generator_has_ended(gate: Path) -> None:
    @tn.remote
    class Halting:
        def steps(self, path: str) -> Any:
            yield "first"
            while not os.path.exists(path):
                time.sleep(0.005)
            yield "second"

        def ping(self) -> None:
            pass

    halting = Halting.remote()
    items = halting.steps.remote(str(gate))
    behind = halting.ping.remote()
    assert tn.get(next(items), timeout=10) == "first"
    gate.touch()
    assert tn.get(next(items)) == "second"
    tn.get(behind)


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_items_arrive_while_the_method_goes_on_also_when_they_fill_the_socket(kind: str, gate: Path) -> None:
    @tn.remote
    class Plain:
        def flood(self, path: str) -> Any:
            for at in range(600):
                yield bytes([at % 256]) * 90_000
            while not os.path.exists(path):
                time.sleep(0.005)

    @tn.remote
    class Coroutine:
        async def flood(self, path: str) -> Any:
            import asyncio

            for at in range(600):
                yield bytes([at % 256]) * 90_000
            while not os.path.exists(path):
                await asyncio.sleep(0.005)

    items = (Plain if kind == "sync" else Coroutine).remote().flood.remote(str(gate))
    assert [tn.get(next(items), timeout=20)[0] for _ in range(600)] == [at % 256 for at in range(600)]
    gate.touch()
    assert list(items) == []


def test_large_items_and_references_in_items_arrive_whole() -> None:
    teller = Teller.remote()
    assert [tn.get(ref)[:1] for ref in teller.large.remote(20)] == [bytes([at]) for at in range(20)]
    pairs = [tn.get(ref) for ref in teller.references.remote(100)]
    assert [tn.get(small) for small, _ in pairs] == list(range(100))
    assert [tn.get(large)[:1] for _, large in pairs] == [bytes([at]) for at in range(100)]


def test_a_generator_can_be_read_by_coroutines() -> None:
    import asyncio

    async def read() -> list[int]:
        return [await ref async for ref in AsyncTeller.remote().count.remote(20)]

    assert asyncio.run(read()) == list(range(20))


def test_a_function_that_returns_a_generator_by_surprise_is_told_to_send_a_list() -> None:
    with pytest.raises(tn.SerializationError, match="list"):
        tn.get(Teller.remote().says_no.remote(), timeout=10)


# ---- names ----


def test_a_name_is_found_and_free_again_after_the_death() -> None:
    first = Notes.options(name="minutes").remote("a")
    assert tn.get(tn.get_actor("minutes").all.remote()) == ["a"]
    assert "minutes" in tn.list_named_actors()
    with pytest.raises(tn.TwinkleError, match="exists") as caught:
        Notes.options(name="minutes").remote()
    assert caught.value.code == "ACTOR_NAME_TAKEN"
    tn.kill(first)
    second = Notes.options(name="minutes").remote("b")
    assert tn.get(second.all.remote()) == ["b"]
    assert tn.get(tn.get_actor("minutes").all.remote()) == ["b"]


def test_get_if_exists_finds_or_makes() -> None:
    maker = Notes.options(name="one", get_if_exists=True)
    first, second = maker.remote("first"), maker.remote("second")
    assert first == second
    assert tn.get([first.all.remote(), second.all.remote()]) == [["first"]] * 2


def test_namespaces_are_apart() -> None:
    here, there = (
        Notes.options(name="twin").remote("here"),
        Notes.options(name="twin", namespace="other").remote("there"),
    )
    assert here != there
    assert tn.get(tn.get_actor("twin").all.remote()) == ["here"]
    assert tn.get(tn.get_actor("twin", namespace="other").all.remote()) == ["there"]
    everywhere = tn.list_named_actors(all_namespaces=True)
    assert {"namespace": "other", "name": "twin"} in everywhere
    assert tn.list_named_actors().count("twin") == 1


@pytest.mark.parametrize("name", ["nobody", ""])
def test_a_name_that_nobody_has_is_a_typed_error(name: str) -> None:
    with pytest.raises(tn.TwinkleError) as caught:
        tn.get_actor(name)
    assert caught.value.code == "ACTOR_NOT_FOUND"


def test_an_actor_ends_with_its_creator_but_a_detached_one_stays(cluster: ClusterInfo) -> None:
    creator = program(
        """
import os, twinkle_node as tn
tn.init("auto")

@tn.remote
class Notes:
    def pid(self):
        return os.getpid()

mine = Notes.options(name="mine").remote()
kept = Notes.options(name="kept", lifetime="detached").remote()
print(tn.get(mine.pid.remote()), tn.get(kept.pid.remote()), flush=True)
input()
""",
        cluster.home,
    )
    mine_pid, kept_pid = map(int, said(creator).split())
    mine = tn.get_actor("mine")
    assert tn.get(mine.pid.remote()) == mine_pid
    assert creator.stdin is not None
    creator.stdin.write("\n")
    end(creator)
    eventually(lambda: not alive(mine_pid))
    with pytest.raises(tn.ActorDiedError, match="creator"):
        tn.get(mine.pid.remote(), timeout=10)
    kept = tn.get_actor("kept")
    assert tn.get(kept.pid.remote()) == kept_pid
    with pytest.raises(tn.TwinkleError):
        tn.get_actor("mine")
    tn.kill(kept)
    eventually(lambda: not alive(kept_pid))


# ---- handles ----


def pid_of(make: Callable[[], Any]) -> int:
    return tn.get(make().pid.remote())


def test_an_actor_ends_when_nobody_has_a_handle() -> None:
    notes = Notes.remote()
    pid = tn.get(notes.pid.remote())
    assert alive(pid)
    del notes
    eventually(lambda: not alive(pid))


def test_calls_of_a_handle_that_is_dropped_at_once_are_answered() -> None:
    refs = [Notes.remote(at).all.remote() for at in range(3)]
    assert tn.get(refs, timeout=10) == [[0], [1], [2]]


def test_a_handle_can_be_given_away_and_kept_by_another_actor() -> None:
    @tn.remote
    class Keeper:
        def keep(self, handles: list[Any]) -> None:
            self.handles = handles

        def ask(self) -> list[Any]:
            return tn.get(self.handles[0].all.remote())

        def forget(self) -> None:
            self.handles = []

        def give(self) -> Any:
            return self.handles[0]

    notes, keeper = Notes.remote("kept"), Keeper.remote()
    pid = tn.get(notes.pid.remote())
    tn.get(keeper.keep.remote([notes]))
    del notes
    assert tn.get(keeper.ask.remote()) == ["kept"]
    again = tn.get(keeper.give.remote())
    tn.get(keeper.forget.remote())
    assert tn.get(again.all.remote()) == ["kept"]
    assert alive(pid)
    del again
    eventually(lambda: not alive(pid))


def test_a_handle_as_a_plain_argument_and_as_a_result() -> None:
    @tn.remote
    def make(word: str) -> Any:
        return Notes.options(name=f"of a task {word}", lifetime="detached").remote(word)

    @tn.remote
    def ask(handle: Any) -> list[Any]:
        return tn.get(handle.all.remote())

    handle = tn.get(make.remote("made"))
    assert tn.get(ask.remote(handle)) == ["made"]
    tn.kill(handle)


def test_an_actor_calls_itself_through_its_handle_when_it_may_run_two_calls() -> None:
    @tn.remote(max_concurrency=2)
    class Mirror:
        def look(self, me: Any) -> str:
            return "I see " + tn.get(me.name.remote())

        def name(self) -> str:
            return "me"

    mirror = Mirror.remote()
    assert tn.get(mirror.look.remote(mirror), timeout=10) == "I see me"


def test_a_method_that_is_not_there_is_named() -> None:
    notes = Notes.remote()
    with pytest.raises(AttributeError, match="no method `notee`"):
        notes.notee.remote(1)
    with pytest.raises(TypeError, match="remote"):
        notes.note(1)
    with pytest.raises(TypeError, match="remote"):
        Notes()


def test_the_context_of_an_actor_says_who_it_is(cluster: ClusterInfo) -> None:
    @tn.remote
    class Who:
        def ask(self) -> tuple[Any, ...]:
            context = tn.get_runtime_context()
            return context.get_actor_id(), context.get_actor_name(), context.get_node_id(), context.namespace

    who = Who.options(name="who").remote()
    assert tn.get(who.ask.remote()) == (who._actor_id, "who", cluster.node_id, "default")
    assert tn.get_runtime_context().namespace == "default"
    assert tn.get_runtime_context().get_actor_id() is None


def test_an_actor_that_forks_goes_on_and_its_child_goes_with_it() -> None:
    @tn.remote
    class Parent:
        def fork(self) -> int:
            pid = os.fork()
            if pid == 0:
                try:
                    time.sleep(60)
                finally:
                    os._exit(0)
            return pid

        def use_in_child(self) -> str:
            read, write = os.pipe()
            pid = os.fork()
            if pid == 0:
                try:
                    tn.put(1)
                    said = "nothing"
                except BaseException as error:
                    said = str(error)
                os.write(write, said.encode())
                os._exit(0)
            os.waitpid(pid, 0)
            return os.read(read, 10_000).decode()

        def pid(self) -> int:
            return os.getpid()

    parent = Parent.remote()
    assert "fork" in tn.get(parent.use_in_child.remote(), timeout=10)
    child = tn.get(parent.fork.remote())
    pids = [child, tn.get(parent.pid.remote())]
    assert all(map(alive, pids))
    tn.kill(parent)
    eventually(lambda: not any(map(alive, pids)))


def test_a_driver_that_forks_keeps_its_head(cluster: ClusterInfo) -> None:
    pid = os.fork()
    if pid == 0:
        # As the interpreter would at its end: shutdown() is registered there.
        try:
            tn.shutdown()
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    assert os.path.exists(cluster.home)
    assert tn.get(Notes.remote("still here").all.remote()) == ["still here"]
