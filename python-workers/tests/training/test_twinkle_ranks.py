"""Losses of the Twinkle API on two ranks, in processes of their own over gloo, beside one rank that trains alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from ranks_support import on_two_ranks
from test_lockstep import UNEVEN, sharded
from test_twinkle_losses import started
from training_support import LENGTH, make_model, make_trainer, work
from twinkle_support import contrast_work, twinkle_work

from twinkle_worker.training.base_model import BaseModel
from twinkle_worker.training.contrast import EmbeddingLoss
from twinkle_worker.training.data_parallel import DataParallel
from twinkle_worker.training.passes import PassRunner
from twinkle_worker.training.spec import Work
from twinkle_worker.training.trainer import Trainer, TrainerOptions

GROUPS = [[5, 9], [12, 4, 9, 3], [6, 6, 11], [20, 2, 3]]
ODD = twinkle_work("a", [5, 6, 7], "dpo")
BATCHES: list[list[Work]] = [
    [twinkle_work("a", [30, 5, 9, 9, 17, 4], "dpo", sft_weight=0.3)],
    [twinkle_work("a", [7, 4], "orpo"), twinkle_work("b", [9, 5, 9, 12], "gspo", beta=0.1, entropy_coef=0.2)],
    [contrast_work("a", GROUPS, use_batch=0)],
    [contrast_work("a", GROUPS, include_qq=1)],
    [contrast_work("b", [[9, 4]])],
    [
        work("a", [9, 20]),
        contrast_work("a", GROUPS, forward_only=True),
        ODD,
        contrast_work("b", GROUPS[1:]),
        twinkle_work("b", [9, 9], "simpo"),
        contrast_work("none", GROUPS),
        twinkle_work("a", [4, 6, 9], "grpo", disable_lora=1, entropies=1, forward_only=True),
    ],
]


def scenario(trainer: Trainer) -> dict[str, Any]:
    """All that one rank sees, batch by batch."""
    for run in ("a", "b"):
        started(trainer, run)
    outcomes = [outcome for batch in BATCHES for outcome in trainer.forward_backward(batch)]
    return {
        "said": [None if one.error is None else str(one.error) for one in outcomes],
        "loss": [one.metrics.get("loss:sum", 0.0) for one in outcomes],
        "outputs": [one.outputs for one in outcomes],
        "grads": {run: trainer.adapter(run).grad.clone() for run in ("a", "b")},
    }


def replicated(peers: DataParallel) -> Trainer:
    return Trainer(BaseModel(make_model(), "tiny", LENGTH), TrainerOptions(), peers)


def copies(peers: DataParallel) -> dict[str, Any]:
    return scenario(replicated(peers))


def shards(peers: DataParallel) -> dict[str, Any]:
    """With passes so small that works take several."""
    return scenario(sharded(peers, UNEVEN, max_tokens=30))


@pytest.mark.parametrize("kind", ["copies", "shards"])
def test_two_ranks_compute_what_one_does(tmp_path: Path, kind: str) -> None:
    first, second = on_two_ranks(tmp_path, copies if kind == "copies" else shards)
    alone = scenario(make_trainer() if kind == "copies" else make_trainer(UNEVEN))
    assert first["said"] == second["said"] == alone["said"]
    assert [one for one in alone["said"] if one is not None] == [
        "expected pairs, a chosen datum and then its rejected one, but received 3 datums",
        "there is no run none here; it was dropped or never made",
    ]
    for mine, others, wanted in zip(first["loss"], second["loss"], alone["loss"], strict=True):
        assert mine + others == pytest.approx(wanted, rel=1e-4, abs=1e-5)
    for mine, others, wanted in zip(first["outputs"], second["outputs"], alone["outputs"], strict=True):
        for one, other in zip([*mine, *others], wanted, strict=True):
            assert one.keys() == other.keys()
            assert all(torch.allclose(one[name], other[name], atol=1e-5) for name in other)
    # Both had something to do, and pairs were not torn apart.
    assert [len(seen["outputs"][0]) for seen in (first, second)] == [2, 4]
    assert all(len(seen["outputs"][4]) > 0 for seen in (first, second))
    for run, grad in alone["grads"].items():
        assert (first["grads"][run] + second["grads"][run] - grad).norm() < 1e-4 * grad.norm()


def breaks(peers: DataParallel) -> dict[str, Any]:
    """One rank has no memory for a contrast on the way forward, then on the way back; a work beside it counts, and both train on."""
    trainer = replicated(peers)
    started(trainer, "a")
    runner: Any = trainer._passes
    said, grads = [], []
    for halves in (False, True, None):

        def fail(attempts: Any, parts: Any, backward: bool, halves: bool | None = halves) -> None:
            PassRunner._pass(runner, attempts, parts, backward)
            contrasts = isinstance(attempts[0].job.work.loss, EmbeddingLoss)
            if peers.rank == 1 and contrasts and backward == halves:
                raise MemoryError("none left")

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(runner, "_pass", fail)
            outcomes = trainer.forward_backward([work("a", [9, 20]), contrast_work("a", GROUPS)])
        said.append([None if one.error is None else str(one.error) for one in outcomes])
        grads.append(trainer.adapter("a").grad.clone())
        trainer.adapter("a").clear()
    return {"said": said, "grads": grads}


def test_a_contrast_counts_on_all_ranks_or_on_none(tmp_path: Path) -> None:
    first, second = on_two_ranks(tmp_path, breaks)
    assert first["said"] == [[None, ""], [None, ""], [None, None]]
    assert ["no memory" in str(one[1]) for one in second["said"]] == [True, True, False]
    trainer = make_trainer()
    started(trainer, "a")
    for at, contrast in enumerate((False, False, True)):
        trainer.forward_backward([work("a", [9, 20]), *([contrast_work("a", GROUPS)] if contrast else [])])
        wanted = trainer.adapter("a").grad
        assert (first["grads"][at] + second["grads"][at] - wanted).norm() < 1e-4 * wanted.norm()
        trainer.adapter("a").clear()
