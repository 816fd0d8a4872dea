"""A full run on two ranks, in processes of their own over gloo, beside one that trains alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from full_support import ALL
from ranks_support import on_two_ranks
from training_support import LENGTH, STEP, good, make_model, make_trainer, work

from twinkle_worker.training.base_model import BaseModel
from twinkle_worker.training.data_parallel import DataParallel
from twinkle_worker.training.trainer import Trainer, TrainerOptions


def scenario(trainer: Trainer) -> dict[str, Any]:
    """What a rank has after three steps. Works come several at a time, and the last has nothing for the other rank to do."""
    run = trainer.create_full("run", ALL)
    norms = []
    for batch in ([[30, 5, 17, 9]], [[8, 8], [40, 3, 12]], [[7]]):
        good(trainer.forward_backward([work("run", lengths, salt=at) for at, lengths in enumerate(batch)]))
        norms.append(trainer.optim_step("run", STEP)["grad_norm:mean"])
    model = {name: value.clone() for name, value in trainer.base.model.state_dict().items()}
    return {"flat": run.flat.clone(), "norms": norms, "model": model}


def train(peers: DataParallel) -> dict[str, Any]:
    """As one of them."""
    return scenario(Trainer(BaseModel(make_model(), "tiny", LENGTH), TrainerOptions(), peers))


def test_two_ranks_train_as_one_does(tmp_path: Path) -> None:
    first, second = on_two_ranks(tmp_path, train)
    alone = scenario(make_trainer())
    assert torch.equal(first["flat"], second["flat"])
    assert all(torch.equal(value, second["model"][name]) for name, value in first["model"].items())
    torch.testing.assert_close(first["flat"], alone["flat"], atol=1e-4, rtol=1e-4)
    assert first["norms"] == pytest.approx(alone["norms"], rel=1e-4)
