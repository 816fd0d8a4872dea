"""Steps against torch.optim.AdamW, clipping, and steps without gradients."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from training_support import SPEC, STEP, Reference, good, work

from twinkle_worker.training.errors import TrainingError
from twinkle_worker.training.spec import StepParams
from twinkle_worker.training.steps import take_step
from twinkle_worker.training.trainer import Trainer

DECAY = StepParams(learning_rate=3e-2, beta1=0.8, beta2=0.99, eps=1e-8, weight_decay=0.1)


def torch_adam(parameters: list[Tensor], params: StepParams) -> torch.optim.AdamW:
    return torch.optim.AdamW(
        parameters,
        lr=params.learning_rate,
        betas=(params.beta1, params.beta2),
        eps=params.eps,
        weight_decay=params.weight_decay,
        foreach=False,
    )


@pytest.mark.parametrize("params", [STEP, DECAY], ids=["defaults", "decay"])
def test_steps_are_those_of_torch_and_peft(trainer: Trainer, params: StepParams) -> None:
    adapter = trainer.create("run", SPEC)
    reference = Reference(trainer, adapter)
    optimizer = torch_adam(reference.parameters, params)
    for step in range(4):
        batch = [work("run", [9, 17, 9], salt=step), work("run", [6, 30], "ppo", salt=step)]
        good(trainer.forward_backward(batch))
        trainer.optim_step("run", params)
        reference.backward(batch)
        optimizer.step()
        optimizer.zero_grad()
        torch.testing.assert_close(adapter.flat, reference.flat(), atol=1e-5, rtol=1e-5)
    assert not adapter.grad.any()


def test_the_formula_is_that_of_torch_bit_for_bit(trainer: Trainer) -> None:
    adapter = trainer.create("run", SPEC)
    other = adapter.flat.clone().requires_grad_()
    optimizer = torch_adam([other], DECAY)
    for step in range(5):
        adapter.grad.copy_(torch.randn(adapter.grad.shape, generator=torch.Generator().manual_seed(step)))
        other.grad = adapter.grad.clone()
        trainer.optim_step("run", DECAY)
        optimizer.step()
        assert torch.equal(adapter.flat, other.detach())


def test_steps_in_parts_are_steps_of_the_whole(trainer: Trainer, monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = (trainer.create(name, SPEC) for name in ("one", "other"))
    for step in range(3):
        for run in (one, other):
            run.grad.copy_(torch.randn(run.grad.shape, generator=torch.Generator().manual_seed(step)))
        whole = trainer.optim_step("one", DECAY)
        with monkeypatch.context() as patch:
            patch.setattr("twinkle_worker.training.steps._PART", 1000)
            assert trainer.optim_step("other", DECAY) == whole
        assert torch.equal(one.flat, other.flat)
    assert one.flat.numel() > 2000


def test_clipping_scales_the_whole_gradient_to_the_norm(trainer: Trainer) -> None:
    adapter = trainer.create("run", SPEC)
    other = adapter.flat.clone().requires_grad_()
    other.grad = torch.full_like(other, 0.5)
    adapter.grad.fill_(0.5)
    norm = float(other.grad.norm())
    torch.nn.utils.clip_grad_norm_([other], 0.25)
    torch_adam([other], STEP).step()
    metrics = trainer.optim_step("run", StepParams(learning_rate=STEP.learning_rate, grad_clip_norm=0.25))
    torch.testing.assert_close(adapter.flat, other.detach())
    assert metrics["grad_norm:mean"] == pytest.approx(norm)
    assert metrics["clipped_grad_norm:mean"] == pytest.approx(0.25, rel=1e-4)
    adapter.grad.fill_(1e-6)
    small = trainer.optim_step("run", StepParams(grad_clip_norm=0.25))
    assert small["clipped_grad_norm:mean"] == small["grad_norm:mean"]
    assert all(name.count(":") == 1 for name in metrics)


def test_a_step_without_gradients_is_one_with_a_gradient_of_zero(trainer: Trainer) -> None:
    fresh = trainer.create("fresh", SPEC)
    before = fresh.flat.clone()
    assert trainer.optim_step("fresh", STEP)["grad_norm:mean"] == 0
    assert torch.equal(fresh.flat, before)
    assert fresh.step == 1
    adapter = trainer.create("run", SPEC)
    good(trainer.forward_backward([work("run", [9])]))
    trainer.optim_step("run", STEP)
    moved = adapter.flat.clone()
    other = moved.clone().requires_grad_()
    other.grad = torch.zeros_like(other)
    optimizer = torch_adam([other], STEP)
    first, second = (moment.clone() for moment in adapter.moments())
    optimizer.state[other] = {"step": torch.tensor(1.0), "exp_avg": first, "exp_avg_sq": second}
    optimizer.step()
    trainer.optim_step("run", STEP)
    assert torch.equal(adapter.flat, other.detach())
    assert not torch.equal(adapter.flat, moved)


def test_a_gradient_that_is_not_finite_is_dropped_and_nothing_moves(trainer: Trainer) -> None:
    adapter = trainer.create("run", SPEC)
    good(trainer.forward_backward([work("run", [9])]))
    before = adapter.flat.clone()
    with pytest.raises(TrainingError, match="cleared") as caught:
        take_step(adapter, STEP, lambda grad: grad.fill_(float("nan")))
    assert caught.value.code == "NON_FINITE"
    assert torch.equal(adapter.flat, before)
    assert adapter.step == 0
    assert trainer.optim_step("run", STEP)["grad_norm:mean"] == 0


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("learning_rate", float("nan")),
        ("learning_rate", -1.0),
        ("beta1", 1.0),
        ("beta2", True),
        ("eps", "small"),
        ("grad_clip_norm", float("inf")),
    ],
)
def test_parameters_out_of_range_change_nothing(trainer: Trainer, name: str, value: object) -> None:
    adapter = trainer.create("run", SPEC)
    good(trainer.forward_backward([work("run", [9])]))
    grad, flat = adapter.grad.clone(), adapter.flat.clone()
    with pytest.raises(TrainingError) as caught:
        trainer.optim_step("run", StepParams(**{name: value}))  # type: ignore[arg-type]
    assert caught.value.param == f"adam_params.{name}"
    assert torch.equal(adapter.grad, grad)
    assert torch.equal(adapter.flat, flat)


def test_want_of_memory_leaves_all_as_it_was(trainer: Trainer, monkeypatch: pytest.MonkeyPatch) -> None:
    adapter = trainer.create("run", SPEC)
    good(trainer.forward_backward([work("run", [9, 17])]))
    trainer.optim_step("run", STEP)
    good(trainer.forward_backward([work("run", [9, 17])]))
    before = [part.clone() for part in (adapter.flat, adapter.grad, *adapter.moments())]
    tensor = torch.empty

    def full(*args: Any, **kwargs: Any) -> Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(torch, "empty", full)
    with pytest.raises(TrainingError, match="no memory for this step, and nothing was changed"):
        trainer.optim_step("run", STEP)
    # With peers, who may have gone on: no refusal, the end of this rank.
    with pytest.raises(torch.OutOfMemoryError):
        take_step(adapter, STEP, lambda gradient: None)
    monkeypatch.setattr(torch, "empty", tensor)
    for part, old in zip((adapter.flat, adapter.grad, *adapter.moments()), before, strict=True):
        assert torch.equal(part, old)
    trainer.optim_step("run", STEP)
    assert adapter.step == 2
