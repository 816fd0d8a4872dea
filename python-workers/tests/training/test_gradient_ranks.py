"""Norms, forgotten gradients and dropout on two ranks, in processes of their own over gloo: what is added up is added up once."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from full_support import ALL
from ranks_support import on_two_ranks
from training_support import LENGTH, SPEC, good, make_model, make_trainer, work

from twinkle_worker.training.base_model import BaseModel
from twinkle_worker.training.data_parallel import DataParallel
from twinkle_worker.training.sharding import ShardedLayers
from twinkle_worker.training.spec import StepParams
from twinkle_worker.training.trainer import Trainer, TrainerOptions

SGD = StepParams(0.1, kind="sgd", momentum=0.9, gradient_scale=0.25, grad_clip_norm=0.5, norm_type=1.0)
ADAM = StepParams(1e-2, kind="adam", weight_decay=0.1)
BOTH, ONE = [30, 5, 17, 9], [12]
"""Lengths of a work that both ranks have a part of, and of one that is all one rank's."""


def scenario(trainer: Trainer) -> dict[str, Any]:
    """What a rank sees of norms in all places, and the weights after each of them."""
    norms: list[float] = []
    weights: list[torch.Tensor] = []
    for params in (SGD, ADAM):
        for before, after in ((BOTH, []), (BOTH, BOTH), (BOTH, ONE), (ONE, BOTH), (ONE, ONE), ([], ONE), ([], [])):
            for lengths in (before, after):
                if lengths:
                    good(trainer.forward_backward([work("run", lengths, salt=len(norms))]))
                # More than once: the second must not add up what is the sum already.
                norms.extend(trainer.gradient_norm("run", 0.5, p) for p in (2.0, 0.0))
            norms.append(trainer.optim_step("run", params)["grad_norm:mean"])
            weights.append(trainer.adapter("run").flat.clone())
    good(trainer.forward_backward([work("run", BOTH)]))
    trainer.gradient_norm("run")
    # Works that leave the gradient alone leave it the sum, and so does one that fails.
    good(trainer.forward_backward([work("run", BOTH, forward_only=True)]))
    (failed,) = trainer.forward_backward([work("run", BOTH, "nonsense")])
    assert failed.error is not None
    summed = trainer.adapter("run").summed
    norms.append(trainer.gradient_norm("run"))
    trainer.clear_gradient("run")
    norms.append(trainer.gradient_norm("run"))
    good(trainer.forward_backward([work("run", ONE)]))
    trainer.clear_gradient("run")
    good(trainer.forward_backward([work("run", BOTH)]))
    norms.append(trainer.optim_step("run", SGD)["grad_norm:mean"])
    weights.append(trainer.adapter("run").flat.clone())
    return {"norms": norms, "weights": weights, "summed": summed}


def trainers(peers: DataParallel) -> dict[str, Any]:
    """As one of them: a LoRA run, a full one, and one of a base model that is spread over both."""
    seen: dict[str, Any] = {}
    for kind in ("lora", "full"):
        trainer = Trainer(BaseModel(make_model(), "tiny", LENGTH), TrainerOptions(), peers)
        seen[kind] = scenario(begun(trainer, kind))
        seen[f"{kind} dropout"] = dropped(trainer)
    for checkpoints in (False, True):
        trainer = Trainer(spread(peers, checkpoints), TrainerOptions(), peers)
        seen["sharded"] = scenario(begun(trainer, "sharded"))
        seen[f"sharded dropout {checkpoints}"] = dropped(trainer)
    return seen


def spread(peers: DataParallel, checkpoints: bool) -> BaseModel:
    def shard(model: Any) -> ShardedLayers:
        return ShardedLayers(model, peers.mesh(), torch.device("cpu"))

    return BaseModel(make_model(), "tiny", LENGTH, checkpoints, shard)


def dropped(trainer: Trainer) -> dict[str, Any]:
    """What a rank sees of a run with dropout, of which it has no part in some works."""
    trainer.drop("run")
    run = trainer.create("dropped", replace(SPEC, dropout=0.4))
    seen: dict[str, Any] = {"grads": []}
    for step, lengths in enumerate((BOTH, ONE, BOTH)):
        good(trainer.forward_backward([work("dropped", lengths, salt=step), work("dropped", ONE, salt=9)]))
        seen["grads"].append(run.grad.clone())
        trainer.optim_step("dropped", ADAM)
    return {**seen, "weights": run.flat.clone()}


def begun(trainer: Trainer, kind: str) -> Trainer:
    """With a run."""
    if kind == "full":
        trainer.create_full("run", ALL)
    else:
        trainer.create("run", SPEC)
    return trainer


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What two ranks saw of :func:`trainers`."""
    return on_two_ranks(tmp_path_factory.mktemp("ranks"), trainers)


@pytest.mark.parametrize("kind", ["lora", "full", "sharded"])
def test_two_ranks_see_what_one_does(together: list[dict[str, Any]], kind: str) -> None:
    first, second = (seen[kind] for seen in together)
    alone = scenario(begun(make_trainer(), kind))
    assert first["norms"] == second["norms"] == pytest.approx(alone["norms"], rel=1e-3)
    assert (first["summed"], second["summed"], alone["summed"]) == (True, True, False)
    assert len(alone["weights"]) == 15
    for one, other, wanted in zip(first["weights"], second["weights"], alone["weights"], strict=True):
        assert torch.equal(one, other)
        torch.testing.assert_close(one, wanted, atol=1e-4, rtol=1e-3)


def test_ranks_that_leave_out_others_of_their_rows_stay_the_same(together: list[dict[str, Any]]) -> None:
    first, second = together
    for kind in ("lora dropout", "sharded dropout False", "sharded dropout True"):
        assert torch.equal(first[kind]["weights"], second[kind]["weights"])
        # However the base model lies, a rank leaves out the same of the same rows.
        for seen in together:
            for ours, wanted in zip(seen[kind]["grads"], seen["lora dropout"]["grads"], strict=True):
                torch.testing.assert_close(ours, wanted, atol=1e-3, rtol=1e-3)
    alone = make_trainer()
    assert (dropped(alone)["weights"] - first["lora dropout"]["weights"]).abs().max() > 1e-3
