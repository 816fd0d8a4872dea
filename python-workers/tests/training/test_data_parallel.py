"""Two ranks that train together, in processes of their own over gloo, beside one that trains alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from ranks_support import SIZE, on_two_ranks, same_as_alone, scenario
from training_support import LENGTH, SPEC, VOCABULARY, datum, good, make_model, make_trainer, work

from twinkle_worker.training.base_model import BaseModel
from twinkle_worker.training.data_parallel import DataParallel
from twinkle_worker.training.passes import PassRunner
from twinkle_worker.training.shares import share
from twinkle_worker.training.spec import StepParams, Work
from twinkle_worker.training.trainer import Trainer, TrainerOptions


def replicated(peers: DataParallel) -> Trainer:
    return Trainer(BaseModel(make_model(), "tiny", LENGTH), TrainerOptions(), peers)


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


def trains(peers: DataParallel) -> dict[str, Any]:
    return scenario(replicated(peers))


def refuses(peers: DataParallel) -> dict[str, Any]:
    trainer = replicated(peers)
    if peers.rank == 0:
        _breaking(trainer)
    return refusals(trainer)


def _breaking(trainer: Trainer) -> None:
    """No memory for a datum of full length."""
    runner: Any = trainer._passes
    original = PassRunner._pass

    def fail(attempts: Any, parts: Any, backward: bool) -> None:
        if any(LENGTH in attempt.job.work.lengths for attempt in attempts):
            raise MemoryError("none left")
        original(runner, attempts, parts, backward)

    runner._pass = fail


def test_two_ranks_train_as_one_does(tmp_path: Path) -> None:
    same_as_alone(*on_two_ranks(tmp_path, trains), scenario(make_trainer()))


def test_a_work_counts_on_all_ranks_or_on_none(tmp_path: Path) -> None:
    first, second = on_two_ranks(tmp_path, refuses)
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
        trainer.optim_step("a", StepParams(learning_rate=float("nan")))
