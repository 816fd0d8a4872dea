"""A trainer from a model folder, by the loader of the transformers engine; and a few steps that learn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch
from training_support import alone, good

from twinkle_worker.engines.base import LoadError
from twinkle_worker.engines.hf import loading as hf_loading
from twinkle_worker.engines.hf.options import parse_options
from twinkle_worker.protocol import LaunchSpec
from twinkle_worker.training import loading
from twinkle_worker.training.loading import open_trainer
from twinkle_worker.training.spec import Datum, LoraSpec, StepParams, Work
from twinkle_worker.training.trainer import Trainer, TrainerOptions

DEMO = Path(__file__).resolve().parents[2] / "demo_model" / "model"


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_demo_model_learns_a_sentence(dtype: str) -> None:
    phases: list[str] = []
    options = parse_options({"device": "cpu", "dtype": dtype, "num_threads": 1})
    trainer = open_trainer(str(DEMO), options, TrainerOptions(), alone(), lambda phase, *_: phases.append(phase))
    assert {"config", "tokenizer", "weights", "warmup"} == set(phases)
    assert trainer.base.limits.max_model_len == 2048
    trainer.create("run", LoraSpec(rank=8, seed=1))
    tokens = torch.arange(100, 125, dtype=torch.int32)
    one = Work("run", [Datum(tokens[:-1], {"target_tokens": tokens[1:].long()})], "cross_entropy")
    losses = []
    for _ in range(8):
        losses.append(good(trainer.forward_backward([one]))[0].metrics["loss:sum"])
        trainer.optim_step("run", StepParams(learning_rate=3e-3))
    assert losses[-1] < 0.5 * losses[0]


def test_a_model_that_is_not_there_is_refused() -> None:
    with pytest.raises(LoadError, match="does not exist"):
        open_trainer("./no-such-model", parse_options({"device": "cpu"}), TrainerOptions(), alone(), lambda *_: None)


def opened(shard: bool = False) -> Trainer:
    """The demo model's trainer."""
    options = parse_options({"device": "cpu", "num_threads": 1})
    return open_trainer(str(DEMO), options, TrainerOptions(shard=shard), two() if shard else alone(), lambda *_: None)


def two() -> LaunchSpec:
    """Of one rank of two."""
    return msgspec.structs.replace(alone(), world_size=2)


def test_one_rank_has_nobody_to_share_the_model_with() -> None:
    options = parse_options({"device": "cpu"})
    with pytest.raises(LoadError, match=r"at least 2 ranks for `--train-shard`.* `--train-ranks`"):
        open_trainer(str(DEMO), options, TrainerOptions(shard=True), alone(), lambda *_: None)


@pytest.mark.parametrize("place", ["load_model", "BaseModel"])
def test_a_model_that_does_not_fit_is_told_the_way_out(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        error = torch.OutOfMemoryError("CUDA out of memory")
        if place == "BaseModel":
            raise error
        raise LoadError(f"the weights of demo cannot be loaded: {error}") from error

    monkeypatch.setattr(loading, place, full)
    monkeypatch.setattr(loading.DataParallel, "join", lambda *_: None)
    with pytest.raises(LoadError, match=r"no memory for the base model .*`--train-gpus`.*`--train-shard` spreads it"):
        opened()
    with pytest.raises(LoadError, match=r"no memory for the base model .*more ranks or larger devices"):
        opened(shard=True)


def test_other_errors_have_nothing_to_do_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "load_model", lambda *_, **__: (_ for _ in ()).throw(LoadError("no such weights")))
    with pytest.raises(LoadError, match=r"^no such weights$"):
        opened()


def test_a_model_that_is_to_be_spread_stays_on_the_cpu_in_the_dtype_of_its_device(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(hf_loading, "pick_device", lambda _: torch.device("meta"))
    for move, expected in ((False, "cpu"), (True, "meta")):
        loaded = hf_loading.load_model(str(DEMO), parse_options({"dtype": "bfloat16"}), lambda *_: None, move)
        assert (loaded.device.type, loaded.model.device.type) == ("meta", expected)
        assert loaded.model.dtype == torch.bfloat16
