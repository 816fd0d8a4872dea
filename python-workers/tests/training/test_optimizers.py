"""Steps of every optimizer beside those of torch, bit for bit, in LoRA runs and full ones, stopped in between or not."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from full_support import ALL, PlainLoop, full, tiny, trainer_of
from torch import Tensor
from training_support import SPEC, good, make_trainer, work

from twinkle_worker.training.errors import TrainingError
from twinkle_worker.training.flat_run import FlatRun
from twinkle_worker.training.spec import StepParams
from twinkle_worker.training.trainer import Trainer

MOMENTUM = {"kind": "sgd", "momentum": 0.9, "weight_decay": 0.1}
KINDS: dict[str, StepParams] = {
    "adamw": StepParams(3e-2, 0.8, 0.99, 1e-8, 0.1),
    "adam": StepParams(3e-2, 0.8, 0.99, 1e-8, 0.1, kind="adam"),
    "adam without decay": StepParams(3e-2, 0.8, 0.99, 1e-8, kind="adam"),
    "sgd": StepParams(3e-2, kind="sgd"),
    "sgd with decay": StepParams(3e-2, kind="sgd", weight_decay=0.1),
    "momentum": StepParams(3e-2, **MOMENTUM),
    "nesterov": StepParams(3e-2, **MOMENTUM, nesterov=True),
    "dampening": StepParams(3e-2, **MOMENTUM, dampening=0.5),
}


def torch_optimizer(parameters: Any, params: StepParams) -> torch.optim.Optimizer:
    """Its namesake."""
    common: dict[str, Any] = {"lr": params.learning_rate, "weight_decay": params.weight_decay, "foreach": False}
    if params.kind == "sgd":
        names = ("momentum", "nesterov", "dampening")
        return torch.optim.SGD(parameters, **common, **{name: getattr(params, name) for name in names})
    make = {"adamw": torch.optim.AdamW, "adam": torch.optim.Adam}[params.kind]
    return make(parameters, **common, betas=(params.beta1, params.beta2), eps=params.eps)


def random_like(values: Tensor, seed: int) -> Tensor:
    return torch.randn(values.shape, generator=torch.Generator().manual_seed(seed))


class Beside:
    """A run, and torch with the same weights, that are given the same gradients."""

    def __init__(self, trainer: Trainer, run: FlatRun[Any]) -> None:
        self.trainer, self.run = trainer, run
        self.other = run.flat.clone().requires_grad_()
        self.optimizer: Any = None

    def step(self, params: StepParams, seed: int, prepare: Callable[[], object] = lambda: None) -> dict[str, float]:
        """``prepare``: what torch does to its gradient before."""
        self.optimizer = self.optimizer or torch_optimizer([self.other], params)
        self.run.grad.copy_(random_like(self.run.grad, seed))
        self.other.grad = self.run.grad.clone()
        prepare()
        self.optimizer.step()
        return self.trainer.optim_step("run", params)

    def equal(self) -> bool:
        return torch.equal(self.run.flat, self.other.detach())


@pytest.mark.parametrize("kind", KINDS)
def test_the_formula_is_that_of_torch_bit_for_bit(trainer: Trainer, kind: str) -> None:
    both = Beside(trainer, trainer.create("run", SPEC))
    for seed in range(5):
        both.step(KINDS[kind], seed)
        assert both.equal()


@pytest.mark.parametrize("kind", ["adam", "momentum", "nesterov"])
def test_steps_in_parts_are_steps_of_the_whole(trainer: Trainer, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    both = Beside(trainer, trainer.create("run", SPEC))
    monkeypatch.setattr("twinkle_worker.training.steps._PART", 1000)
    for seed in range(3):
        both.step(KINDS[kind], seed)
    assert both.equal()
    assert both.other.numel() > 2000


@pytest.mark.parametrize("kind", ["adam", "nesterov"])
def test_a_full_run_steps_as_torch_does(kind: str) -> None:
    params = replace(KINDS[kind], learning_rate=1e-3, grad_clip_norm=1.0)
    trainer = make_trainer()
    run = trainer.create_full("run", ALL)
    plain = PlainLoop(tiny("tied"), run.names, params)
    plain.optimizer = torch_optimizer(plain.parameters, params)
    for step in range(3):
        batch = [work("run", [9, 17, 30], salt=step)]
        good(trainer.forward_backward(batch))
        plain.backward(batch)
        torch.nn.utils.clip_grad_norm_(plain.parameters, 1.0)
        trainer.optim_step("run", params)
        plain.step()
        torch.testing.assert_close(run.flat, plain.flat(), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("norm_type", [0, 1, 2, 3.5])
@pytest.mark.parametrize("limit", [0.01, 1e6])
def test_a_gradient_is_scaled_and_then_clipped_to_its_norm(trainer: Trainer, norm_type: float, limit: float) -> None:
    params = StepParams(0.5, kind="sgd", gradient_scale=0.125, grad_clip_norm=limit, norm_type=norm_type)
    both = Beside(trainer, trainer.create("run", SPEC))
    norms: list[float] = []

    def prepare() -> None:
        gradient = both.other.grad
        assert gradient is not None
        gradient.mul_(0.125)
        p = norm_type or math.inf
        norms.append(torch.nn.utils.clip_grad_norm_([both.other], limit, norm_type=p).item())
        norms.append(torch.linalg.vector_norm(gradient, p).item())

    for seed in range(2):
        metrics = both.step(params, seed, prepare)
        torch.testing.assert_close(both.run.flat, both.other.detach())
        seen = [metrics["grad_norm:mean"], metrics["clipped_grad_norm:mean"]]
        assert seen == pytest.approx(norms[-2:], rel=1e-4)
        assert (seen[1] < seen[0]) == (limit < 1)


def test_another_kind_begins_with_fresh_moments(trainer: Trainer) -> None:
    both = Beside(trainer, trainer.create("run", SPEC))
    for kinds in (("adamw", "adamw"), ("nesterov", "dampening"), ("adam", "adam"), ("adamw", "adamw")):
        both.optimizer = None
        for at, kind in enumerate(kinds):
            params = KINDS[kind]
            if at > 0:  # another number is no other kind
                for group in both.optimizer.param_groups:
                    group.update({"nesterov": params.nesterov, "dampening": params.dampening})
            assert both.step(params, at)["step:max"] == at + 1
            assert both.equal()


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("kind", ["adam", "dampening"])
def test_a_run_goes_on_as_if_never_stopped_bit_for_bit(tmp_path: Path, kind: str, whole: bool) -> None:
    trainer, again = (trainer_of(tmp_path / name, tiny("tied")) for name in ("base", "again"))
    if whole:
        trainer.create_full("run", ALL)
    else:
        trainer.create("run", SPEC)
    params = KINDS[kind]

    def train(one: Trainer, seed: int) -> dict[str, float]:
        run = one.adapter("run")
        run.grad.copy_(random_like(run.grad, seed))
        return one.optim_step("run", params)

    for seed in range(2):
        train(trainer, seed)
    trainer.snapshot("run").write(tmp_path / "two")
    again.load("run", tmp_path / "two", optimizer=True)
    for seed in (2, 3):
        metrics = train(trainer, seed)
        assert train(again, seed) == metrics
        assert metrics["step:max"] == seed + 1
    assert torch.equal(trainer.adapter("run").flat, again.adapter("run").flat)
    fresh = again.load("run", tmp_path / "two", optimizer=False)
    assert train(again, 2)["step:max"] == 1
    assert not torch.equal(fresh.flat, trainer.adapter("run").flat)


@pytest.mark.parametrize("whole", [False, True])
def test_a_checkpoint_that_names_no_optimizer_is_of_adamw(tmp_path: Path, whole: bool) -> None:
    trainer = trainer_of(tmp_path / "base", tiny("tied"))
    run = trainer.create_full("run", ALL) if whole else trainer.create("run", SPEC)
    run.grad.copy_(random_like(run.grad, 1))
    trainer.optim_step("run", KINDS["adamw"])
    trainer.snapshot("run").write(tmp_path / "one")
    manifest = tmp_path / "one" / "manifest.json"
    content = json.loads(manifest.read_text())
    assert content.pop("optimizer") == "adamw"
    manifest.write_text(json.dumps(content))
    loaded = trainer.load("run", tmp_path / "one", optimizer=True)
    assert (loaded.step, loaded.optimizer) == (1, "adamw")
    manifest.write_text(json.dumps({**content, "optimizer": "other"}))
    with pytest.raises(TrainingError, match="damaged"):
        trainer.load("run", tmp_path / "one", optimizer=True)
    if whole:
        assert full(trainer) is run


@pytest.mark.parametrize(
    ("changes", "param", "said"),
    [
        ({"kind": "adagrad"}, "kind", "adamw, adam, sgd"),
        ({"gradient_scale": math.inf}, "gradient_scale", "at least 0"),
        ({"gradient_scale": -1.0}, "gradient_scale", "at least 0"),
        ({"norm_type": 0.5}, "norm_type", "at least 1, or 0 for infinity"),
        ({"norm_type": math.nan}, "norm_type", "at least 1"),
        ({"kind": "sgd", "momentum": -0.1}, "momentum", "at least 0"),
        ({"kind": "sgd", "nesterov": True}, "nesterov", "a momentum above 0"),
        ({"kind": "sgd", "nesterov": True, "momentum": 0.9, "dampening": 0.1}, "nesterov", "a dampening of 0"),
        ({"momentum": 0.9}, "momentum", "options of sgd"),
    ],
)
def test_what_no_step_can_be_changes_nothing(trainer: Trainer, changes: dict[str, Any], param: str, said: str) -> None:
    run = trainer.create("run", SPEC)
    good(trainer.forward_backward([work("run", [9])]))
    grad, flat = run.grad.clone(), run.flat.clone()
    with pytest.raises(TrainingError, match=said) as caught:
        trainer.optim_step("run", StepParams(**changes))
    assert caught.value.param == f"adam_params.{param}"
    assert torch.equal(run.grad, grad)
    assert torch.equal(run.flat, flat)


def test_a_norm_is_that_of_the_step_that_follows_and_leaves_the_gradient_alone(trainer: Trainer) -> None:
    run = trainer.create("run", SPEC)
    good(trainer.forward_backward([work("run", [9, 17])]))
    before = run.grad.clone()
    norms = [trainer.gradient_norm("run", 0.5, p) for p in (2, 1, 0)]
    wanted = [before.norm().item() / 2, before.abs().sum().item() / 2, before.abs().max().item() / 2]
    assert norms == pytest.approx(wanted, rel=1e-5)
    assert torch.equal(run.grad, before)
    metrics = trainer.optim_step("run", StepParams(gradient_scale=0.5))
    assert metrics["grad_norm:mean"] == norms[0]
    assert trainer.gradient_norm("run") == 0
    with pytest.raises(TrainingError, match="norm_type"):
        trainer.gradient_norm("run", 1.0, 0.1)


def test_a_norm_that_is_not_finite_is_refused_and_the_gradient_stays(trainer: Trainer) -> None:
    run = trainer.create("run", SPEC)
    for value in (math.nan, math.inf):
        run.grad.fill_(1)[3] = value
        for p in (2, 1, 0):
            with pytest.raises(TrainingError, match="a step would clear it") as caught:
                trainer.gradient_norm("run", 1.0, p)
            assert caught.value.code == "NON_FINITE"
        assert run.grad[2] == 1


def test_a_gradient_that_is_forgotten_leaves_no_trace(trainer: Trainer) -> None:
    clean = make_trainer()
    for one in (trainer, clean):
        run = one.create("run", SPEC)
        if one is trainer:
            good(one.forward_backward([work("run", [9, 17])]))
            one.clear_gradient("run")
            assert not run.grad.any()
        good(one.forward_backward([work("run", [8])]))
    assert torch.equal(trainer.adapter("run").grad, clean.adapter("run").grad)
