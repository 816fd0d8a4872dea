"""Two ranks that train together, in processes of their own over gloo, beside one that trains alone."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from training_support import LENGTH, SPEC, STEP, VOCABULARY, datum, good, logprobs, make_model, make_trainer, work

from twinkle_worker.training.base_model import BaseModel
from twinkle_worker.training.data_parallel import DataParallel
from twinkle_worker.training.passes import PassRunner
from twinkle_worker.training.shares import share
from twinkle_worker.training.spec import AdamParams, Outcome, Work
from twinkle_worker.training.trainer import Trainer, TrainerOptions

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
    seen["metrics"] = [trainer.optim_step(run, STEP) for run in ("a", "b")]
    seen["weights"] = {run: trainer.adapter(run).flat.clone() for run in ("a", "b")}
    return seen


def refusals(trainer: Trainer) -> dict[str, Any]:
    """A work that one rank cannot compute, beside one that both can; and what all refuse."""
    trainer.create("a", SPEC)
    before = trainer.adapter("a").grad.clone()
    wrong = work("a", [5, 6, 7, 8])
    wrong.datums[3].inputs["target_tokens"][0] = VOCABULARY
    bad = trainer.forward_backward([wrong, Work("none", [datum(3, 1)], "cross_entropy")])
    step = trainer.forward_backward(
        [work("a", [LENGTH, 4]), work("a", [9, 9])]
    )  # the first breaks in rank 0, see _breaking
    alone = trainer.forward_backward([work("a", [9, 9])])
    return {
        "bad": [str(one.error) for one in bad],
        "unchanged": torch.equal(before, torch.zeros_like(before)),
        "step": [None if one.error is None else str(one.error) for one in step],
        "alone": [one.error is None for one in alone],
        "grad": trainer.adapter("a").grad.clone(),
    }


def _rank(rank: int, folder: Path, act: Callable[[Trainer], dict[str, Any]], breaks: bool) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", store=dist.FileStore(str(folder / "store"), SIZE), rank=rank, world_size=SIZE)
    base = BaseModel(make_model(), "tiny", LENGTH, checkpoint_activations=False)
    trainer = Trainer(base, TrainerOptions(), DataParallel(rank, SIZE, torch.device("cpu")))
    if breaks and rank == 0:
        _breaking(trainer)
    torch.save(act(trainer), folder / f"{rank}.pt")
    dist.destroy_process_group()


def _breaking(trainer: Trainer) -> None:
    """No memory for a datum of full length."""
    runner: Any = trainer._passes
    original = PassRunner._pass

    def fail(attempts: Any, parts: Any, backward: bool) -> None:
        if any(LENGTH in attempt.job.work.lengths for attempt in attempts):
            raise MemoryError("none left")
        original(runner, attempts, parts, backward)

    runner._pass = fail


def on_two_ranks(folder: Path, act: Callable[[Trainer], dict[str, Any]], breaks: bool = False) -> list[dict[str, Any]]:
    context = multiprocessing.get_context("spawn")
    ranks = [context.Process(target=_rank, args=(rank, folder, act, breaks)) for rank in range(SIZE)]
    for one in ranks:
        one.start()
    for one in ranks:
        one.join(120)
        assert one.exitcode == 0
    return [torch.load(folder / f"{rank}.pt", weights_only=False) for rank in range(SIZE)]


def merged(outcomes: list[Outcome]) -> tuple[torch.Tensor, float]:
    """As Node merges them: the datums of all ranks, in the order of ranks."""
    parts = [logprobs(one) for one in good(outcomes) if one.outputs]
    return torch.cat(parts), sum(one.metrics.get("loss:sum", 0.0) for one in outcomes)


def test_two_ranks_train_as_one_does(tmp_path: Path) -> None:
    first, second = on_two_ranks(tmp_path, scenario)
    expected = scenario(make_trainer())
    for run in ("a", "b"):
        assert torch.equal(first["weights"][run], second["weights"][run])
        assert torch.allclose(first["weights"][run], expected["weights"][run], atol=1e-5)
    pairs = [*zip(first["outcomes"], second["outcomes"], expected["outcomes"], strict=True)]
    pairs.append((first["together"], second["together"], expected["together"]))
    for ours, others, single in pairs:
        for one, other, wanted in zip(ours, others, single, strict=True):
            seen, loss = merged([one, other])
            assert torch.allclose(seen, logprobs(wanted), atol=1e-5)
            assert loss == pytest.approx(wanted.metrics["loss:sum"], abs=1e-4)
    # Each computed something, and neither everything.
    assert all(0 < len(seen["together"][0].outputs) < 4 for seen in (first, second))
    for mine, wanted in zip(first["metrics"], expected["metrics"], strict=True):
        assert mine == pytest.approx(wanted, rel=1e-4)


def test_a_work_counts_on_all_ranks_or_on_none(tmp_path: Path) -> None:
    first, second = on_two_ranks(tmp_path, refusals, breaks=True)
    for seen in (first, second):
        assert seen["unchanged"]
        wrong, nobody = seen["bad"]
        assert "datum 3" in wrong
        assert "no run none" in nobody
        assert seen["step"][1] is None
        assert seen["alone"] == [True]
    assert "no memory" in first["step"][0]
    assert second["step"][0] == ""
    # Of what failed nothing is left in either: both have computed the same two works of two datums.
    trainer = make_trainer()
    trainer.create("a", SPEC)
    good(trainer.forward_backward([work("a", [9, 9]), work("a", [9, 9])]))
    assert torch.allclose(first["grad"] + second["grad"], trainer.adapter("a").grad, atol=1e-5)


@pytest.mark.parametrize("size", [1, 2, 3, 8])
@pytest.mark.parametrize("lengths", [[], [5], [1, 1, 1], [100, 1, 1, 1], [1, 1, 1, 100], [7] * 16, [3, 9, 2, 8, 30, 1]])
def test_shares_follow_each_other_and_leave_nothing_out(lengths: list[int], size: int) -> None:
    shares = [share(lengths, rank, size) for rank in range(size)]
    assert [at for one in shares for at in one] == list(range(len(lengths)))
    most = max(sum(lengths[at] for at in one) for one in shares)
    assert most <= sum(lengths) / size + max(lengths, default=0)


def test_a_step_of_wrong_params_waits_for_nobody() -> None:
    trainer = Trainer(make_trainer().base, TrainerOptions(), DataParallel(0, SIZE, torch.device("cpu")))
    trainer.create("a", SPEC)
    with pytest.raises(Exception, match="finite number"):
        trainer.optim_step("a", AdamParams(learning_rate=float("nan")))
