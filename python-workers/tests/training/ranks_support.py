"""Ranks in processes of their own over gloo, and what they train, for the tests of several ranks."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from training_support import SPEC, STEP, good, logprobs, work

from twinkle_worker.training.data_parallel import DataParallel
from twinkle_worker.training.spec import Outcome
from twinkle_worker.training.trainer import Trainer

SIZE = 2
WORKS = [work("a", [30, 5, 17, 9]), work("b", [12], "ppo", salt=3), work("a", [8, 8, 8, 40], salt=9)]


def scenario(trainer: Trainer) -> dict[str, Any]:
    """What one rank sees; all tensors on the CPU."""
    trainer.create("a", SPEC)
    trainer.create("b", SPEC)
    seen: dict[str, Any] = {"outcomes": []}
    for one in WORKS:
        seen["outcomes"].append(trainer.forward_backward([one]))
        trainer.optim_step("a", STEP)
    seen["together"] = trainer.forward_backward(WORKS)
    seen["grads"] = {run: trainer.adapter(run).grad.clone() for run in ("a", "b")}
    seen["metrics"] = [trainer.optim_step(run, STEP) for run in ("a", "b")]
    seen["weights"] = {run: trainer.adapter(run).flat.clone() for run in ("a", "b")}
    return seen


def on_two_ranks(folder: Path, act: Callable[[DataParallel], dict[str, Any]]) -> list[dict[str, Any]]:
    """What ``act``, a function of a module, answers in each of two ranks."""
    context = multiprocessing.get_context("spawn")
    ranks = [context.Process(target=_rank, args=(rank, folder, act)) for rank in range(SIZE)]
    for one in ranks:
        one.start()
    try:
        running = {one.sentinel: one for one in ranks}
        while running:
            ended = wait(list(running), timeout=120)
            assert ended, "the ranks wait for each other"
            for sentinel in ended:
                one = running.pop(sentinel)
                one.join()
                assert one.exitcode == 0
    finally:
        for one in ranks:
            one.kill()
    return [torch.load(folder / f"{rank}.pt", weights_only=False) for rank in range(SIZE)]


def _rank(rank: int, folder: Path, act: Callable[[DataParallel], dict[str, Any]]) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", store=dist.FileStore(str(folder / "store"), SIZE), rank=rank, world_size=SIZE)
    torch.save(act(DataParallel(rank, SIZE, torch.device("cpu"))), folder / f"{rank}.pt")
    dist.destroy_process_group()


def merged(outcomes: list[Outcome]) -> tuple[torch.Tensor, float]:
    """As Node merges them: the datums of all ranks, in the order of ranks."""
    parts = [logprobs(one) for one in good(outcomes) if one.outputs]
    return torch.cat(parts), sum(one.metrics.get("loss:sum", 0.0) for one in outcomes)


def same_as_alone(first: dict[str, Any], second: dict[str, Any], expected: dict[str, Any]) -> None:
    """Assert that two ranks saw in :func:`scenario` together what one saw by itself."""
    for run in ("a", "b"):
        assert torch.equal(first["weights"][run], second["weights"][run])
        assert torch.allclose(first["weights"][run], expected["weights"][run], atol=1e-5)
        grad = expected["grads"][run]
        assert (first["grads"][run] + second["grads"][run] - grad).norm() < 1e-5 * grad.norm()
    pairs = [*zip(first["outcomes"], second["outcomes"], expected["outcomes"], strict=True)]
    pairs.append((first["together"], second["together"], expected["together"]))
    for ours, others, single in pairs:
        for one, other, wanted in zip(ours, others, single, strict=True):
            seen, loss = merged([one, other])
            assert torch.allclose(seen, logprobs(wanted), atol=1e-5)
            assert abs(loss - wanted.metrics["loss:sum"]) < 1e-4
    # Each computed something, and neither everything.
    assert all(0 < len(seen["together"][0].outputs) < 4 for seen in (first, second))
    for mine, wanted in zip(first["metrics"], expected["metrics"], strict=True):
        assert mine.keys() == wanted.keys()
        assert all(abs(mine[name] - wanted[name]) <= 1e-4 * abs(wanted[name]) for name in wanted)
