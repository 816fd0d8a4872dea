"""An engine over ranks in other processes: the tokens of one process, and clear ends. CPU and gloo, the demo model."""

from __future__ import annotations

import functools
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
from gang_support import Nursery, TestGang, executor_of, greedy, leftovers, make_engine

PROMPTS = ["The robot went to", "Once upon a time there was a", "Hello", "Count: one two three"]


@pytest.fixture(scope="module")
def expected(nursery: Nursery) -> list[list[int]]:
    """Tokens of an engine with its worker inside."""
    return greedy(make_engine(None), PROMPTS)


@pytest.fixture(scope="module")
def pair(nursery: Nursery) -> Iterator[tuple[TestGang, Any]]:
    with TestGang(nursery, 2) as gang:
        yield gang, make_engine(gang, tensor_parallel_size=2)


Pair = tuple[TestGang, Any]


def test_two_tensor_parallel_ranks_give_the_tokens_of_one(pair: Pair, expected: list[list[int]]) -> None:
    assert greedy(pair[1], PROMPTS) == expected


def test_a_start_reports_its_phases(pair: Pair) -> None:
    phases = pair[0].said(0, "PHASE")
    wanted = [
        "import",
        "init_worker",
        "init_device",
        "load_model",
        "determine_available_memory",
        "initialize_from_config",
    ]
    assert [phase for phase in phases if phase in wanted] == wanted


def test_nothing_shared_has_a_name_once_the_gang_runs(pair: Pair) -> None:
    """Mapped, but unlinked: a SIGKILL of all processes would leave nothing."""
    maps = Path(f"/proc/{pair[0].pids[0]}/maps").read_text().splitlines()
    # Others on this machine may have names there: only what this gang has mapped counts.
    shared = {line.split(None, 5)[5] for line in maps if "/dev/shm/" in line}
    assert any("cpushm_0" in name for name in shared)
    assert any("/dev/shm/psm_" in name for name in shared)
    assert [name for name in shared if not name.endswith(" (deleted)")] == []


def test_answers_of_all_ranks_come_in_rank_order(pair: Pair) -> None:
    executor = executor_of(pair[1])
    assert executor.collective_rpc(lambda worker: worker.rank) == [0, 1]
    assert executor.collective_rpc(lambda worker, value: (worker.rank, value), args=(3,), unique_reply_rank=1) == (1, 3)


def test_a_failing_call_names_its_rank_and_the_next_works(pair: Pair, expected: list[list[int]]) -> None:
    executor = executor_of(pair[1])

    def fail(worker: Any) -> None:
        if worker.rank == 1:
            raise KeyError("only here")

    with pytest.raises(RuntimeError, match="rank 1 failed in a function: KeyError: 'only here'") as caught:
        executor.collective_rpc(fail)
    assert "in fail" in "".join(caught.value.__notes__)
    with pytest.raises(RuntimeError, match=r"rank . failed in no_such_method: AttributeError"):
        executor.collective_rpc("no_such_method")
    assert executor.collective_rpc(lambda worker: worker.rank) == [0, 1]
    assert greedy(pair[1], PROMPTS) == expected


def test_an_answer_without_a_pickle_fails_its_call_alone(pair: Pair) -> None:
    executor = executor_of(pair[1])
    with pytest.raises(RuntimeError, match=r"rank . failed in a function: .*pickle"):
        executor.collective_rpc(lambda worker: lambda: None)
    assert executor.collective_rpc(lambda worker: worker.rank) == [0, 1]


def test_futures_resolve_out_of_order_and_time_out_alone(pair: Pair) -> None:
    executor = executor_of(pair[1])
    futures = [executor.collective_rpc(functools.partial(_echo, value=n), non_block=True) for n in range(5)]
    assert futures[4].result() == [4, 4]
    assert all(isinstance(future, Future) and future.done() for future in futures)
    with pytest.raises(TimeoutError, match="rank 0, 1 did not answer"):
        executor.collective_rpc(lambda worker: threading.Event().wait(0.5), timeout=0.1)
    assert executor.collective_rpc(functools.partial(_echo, value="next")) == ["next", "next"]


def _echo(worker: Any, value: Any) -> Any:
    return value


def test_outputs_of_the_device_are_waited_for_beside_the_next_call(pair: Pair) -> None:
    executor = executor_of(pair[1])

    def begin(worker: Any, good: bool) -> Any:
        from vllm.v1.outputs import AsyncModelRunnerOutput

        gate = worker.gate = threading.Event()

        class Later(AsyncModelRunnerOutput):
            def get_output(self) -> Any:
                if not gate.wait(5) or not good:
                    raise OSError("no output")
                return threading.current_thread().name

        return Later()

    for good in (True, False):
        later = executor.collective_rpc(begin, args=(good,), non_block=True)
        assert not later.done()
        assert executor.collective_rpc(lambda worker: worker.gate.set()) == [None, None]
        if good:
            assert later.result() == ["outputs", "outputs"]
        else:
            with pytest.raises(RuntimeError, match=r"rank . failed in a function: OSError: no output"):
                later.result()


def test_payloads_of_tens_of_megabytes(pair: Pair) -> None:
    import torch

    executor = executor_of(pair[1])
    tensor = torch.arange(12_000_000, dtype=torch.float32)
    futures = [executor.collective_rpc(_double, args=(tensor,), non_block=True) for _ in range(2)]
    for future in futures:
        assert all(torch.equal(back, tensor * 2) for back in future.result())


def _double(worker: Any, tensor: Any) -> Any:
    return tensor * 2


def test_a_rank_hears_node_while_it_waits_and_says_that_it_is_idle(pair: Pair) -> None:
    gang, engine = pair
    os.write(gang.wakes[1], b"x")
    deadline = time.monotonic() + 5
    while gang.said(1, "NODE") != ["x"] and time.monotonic() < deadline:
        os.sched_yield()
    assert gang.said(1, "NODE") == ["x"]
    greedy(engine, PROMPTS[:1], 3)
    executor_of(engine).collective_rpc("check_health")
    turns = gang.said(1, "TURN")
    assert {"idle", "step", "check_health"} <= set(turns)


def test_an_engine_that_lets_go_ends_no_rank_with_an_error(pair: Pair) -> None:
    """The last test on this gang."""
    gang, engine = pair
    engine.engine_core.shutdown()
    assert [gang.wait(rank) for rank in range(2)] == [0, 0]


@pytest.mark.parametrize(
    "sizes",
    [{"pipeline_parallel_size": 2}, {"tensor_parallel_size": 2, "pipeline_parallel_size": 2}],
    ids=["PP2", "TP2xPP2"],
)
def test_pipelines_give_the_same_tokens_and_leave_nothing(
    nursery: Nursery, expected: list[list[int]], sizes: dict[str, int]
) -> None:
    before = leftovers()
    with TestGang(nursery, 4 if len(sizes) == 2 else 2) as gang:
        engine = make_engine(gang, **sizes)
        assert greedy(engine, PROMPTS) == expected
        assert greedy(engine, PROMPTS, 5) == [tokens[:5] for tokens in expected]
        executor_of(engine).check_health()
        for pid in gang.pids:
            os.kill(pid, signal.SIGKILL)
    assert {name for name in leftovers() - before if "twinkle" in name or name.startswith("/dev/shm")} == set()


def test_a_killed_rank_is_named_at_once_and_a_lost_engine_ends_the_others(nursery: Nursery) -> None:
    with TestGang(nursery, 2) as gang:
        engine = make_engine(gang, tensor_parallel_size=2)
        executor = executor_of(engine)
        lost: list[float] = []
        executor.register_failure_callback(lambda: lost.append(time.monotonic()))
        waiting = executor.collective_rpc(
            lambda worker: threading.Event().wait(30), unique_reply_rank=0, non_block=True
        )
        os.kill(gang.pids[1], signal.SIGKILL)
        start = time.monotonic()
        with pytest.raises(RuntimeError, match="rank 1 is gone"):
            waiting.result()
        assert time.monotonic() - start < 1
        assert len(lost) == 1
        with pytest.raises(RuntimeError, match="rank 1 is gone"):
            executor.check_health()
        with pytest.raises(RuntimeError, match="rank 1 is gone"):
            greedy(engine, PROMPTS)


def test_a_rank_ends_when_its_engine_is_gone(nursery: Nursery) -> None:
    from twinkle_worker.engines.vllm.worker import EXIT_ENGINE_GONE

    with TestGang(nursery, 2) as gang:
        engine = make_engine(gang, tensor_parallel_size=2)
        for end in gang.ends:  # what the kernel does for a process that dies: no goodbye
            with socket.socket(fileno=os.dup(end)) as ours:
                ours.shutdown(socket.SHUT_RDWR)
        assert [gang.wait(rank) for rank in range(2)] == [EXIT_ENGINE_GONE] * 2
        assert "the engine process is gone: rank 1 ends" in Path(gang.log(1)).read_text()
        with pytest.raises(RuntimeError, match="is gone"):
            executor_of(engine).check_health()


def test_sizes_that_do_not_fit_the_gang_are_refused(nursery: Nursery) -> None:
    with (
        TestGang(nursery, 2) as gang,
        pytest.raises(Exception, match="product of 2, the ranks of this gang, but received 1"),
    ):
        make_engine(gang)
