"""Losses, log-probabilities and gradients against PEFT and autograd; and the slopes that are written out against autograd."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from training_support import (
    RL,
    SPEC,
    VOCABULARY,
    Reference,
    datum,
    good,
    logprobs,
    make_model,
    make_trainer,
    plain_loss,
    work,
)

from twinkle_worker.training.losses import LOSSES
from twinkle_worker.training.spec import Work
from twinkle_worker.training.trainer import Trainer

ALL = ["cross_entropy", *RL]


def check(trainer: Trainer, one: Work, model: Any = None, lp: float = 1e-5, gradient: float = 1e-5) -> None:
    """Compare all that a work gives with the reference; ``gradient`` is relative to its norm."""
    adapter = trainer.create("run", SPEC)
    adapter.flat.add_(torch.randn(adapter.flat.shape, generator=torch.Generator().manual_seed(3)), alpha=0.1)
    reference = Reference(trainer, adapter, model)
    outcome = good(trainer.forward_backward([one]))[0]
    expected = torch.cat([reference.logprobs(part).detach().flatten() for part in one.datums])
    torch.testing.assert_close(logprobs(outcome), expected, atol=lp, rtol=lp)
    loss = reference.backward([one])
    assert outcome.metrics["loss:sum"] == pytest.approx(loss, rel=max(lp, 1e-5), abs=max(lp, 1e-4))
    wanted = reference.flat_grad()
    assert wanted.norm() > 1
    assert (adapter.grad - wanted).norm() <= gradient * wanted.norm()


@pytest.mark.parametrize("loss", ALL)
def test_every_loss_is_that_of_autograd(trainer: Trainer, loss: str) -> None:
    check(trainer, work("run", [9, 17, 9, 30], loss))


@pytest.mark.parametrize("loss", ALL)
def test_weights_are_factors_and_ones_where_absent(trainer: Trainer, loss: str) -> None:
    mask = torch.tensor([0.0, 1.0] * 6)
    masked, plain = datum(12, 1, loss, weights=mask), datum(12, 2, loss, weights=None)
    check(trainer, Work("run", [masked, plain], loss, RL.get(loss, {})))


@pytest.mark.parametrize("weighted", [True, False])
def test_cross_entropy_takes_several_targets_per_token(trainer: Trainer, weighted: bool) -> None:
    several = [
        datum(
            n,
            n,
            target_tokens=torch.randint(VOCABULARY, (n, k)),
            weights=torch.rand(n, k) if weighted and n != 4 else None,
        )
        for n, k in ((5, 3), (8, 2), (6, 3), (4, 2))
    ]
    check(trainer, Work("run", [*several, datum(7, 7, weights=None)], "cross_entropy"))


def test_outputs_have_the_order_and_shapes_of_the_datums(trainer: Trainer) -> None:
    trainer.create("run", SPEC)
    lengths = [3, 20, 7, 20, 1]
    wide = datum(7, 9, target_tokens=torch.randint(VOCABULARY, (7, 2)), weights=None)
    datums = [wide if length == 7 else datum(length, at) for at, length in enumerate(lengths)]
    whole = good(trainer.forward_backward([Work("run", datums, "cross_entropy", forward_only=True)]))[0]
    for one, output in zip(datums, whole.outputs, strict=True):
        alone = good(trainer.forward_backward([Work("run", [one], "cross_entropy", forward_only=True)]))[0].outputs[0]
        weights = one.inputs.get("weights", torch.ones(one.inputs["target_tokens"].shape))
        assert output["logprobs"].shape == one.inputs["target_tokens"].shape
        torch.testing.assert_close(output["logprobs"], alone["logprobs"], atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(output["elementwise_loss"], -weights * output["logprobs"])
    rl = good(trainer.forward_backward([work("run", [4], "ppo")]))[0]
    assert rl.outputs[0].keys() == {"logprobs"}


@pytest.mark.parametrize("loss", ALL)
def test_slopes_are_those_of_autograd_on_all_sides_of_the_clips(loss: str) -> None:
    lp = (torch.linspace(-6, 0, 40).repeat(2).unsqueeze(1)).requires_grad_()
    inputs = {"logprobs": torch.full((80, 1), -3.0), "advantages": torch.tensor([1.5] * 40 + [-0.5] * 40).unsqueeze(1)}
    numbers = {"clip_low_threshold": 0.8, "clip_high_threshold": 1.2, "beta": 0.05}
    losses, slopes = LOSSES[loss].apply(lp.detach(), inputs, numbers)
    total = plain_loss(loss, lp, inputs, numbers)
    torch.testing.assert_close(losses.sum(), total.detach())
    torch.testing.assert_close(slopes, torch.autograd.grad(total, lp)[0])


def test_ppo_has_no_slope_where_an_infinite_ratio_is_clipped() -> None:
    lp, q = torch.tensor([[-1.0]]), torch.tensor([[-1e4]])
    losses, slopes = LOSSES["ppo"].apply(
        lp, {"logprobs": q, "advantages": torch.ones(1, 1)}, {"clip_low_threshold": 0.8, "clip_high_threshold": 1.2}
    )
    assert (losses.item(), slopes.item()) == (pytest.approx(-1.2), 0.0)


def test_logits_in_many_chunks_give_the_same(trainer: Trainer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("twinkle_worker.training.head._CHUNK_NUMBERS", {"cpu": 1})
    sizes: list[int] = []
    trainer.base.head.register_forward_hook(lambda *args: sizes.append(len(args[2])))  # type: ignore[attr-defined]
    check(trainer, work("run", [9, 17, 30, 13], "ppo"))
    assert sizes == [16, 16, 16, 16, 5]


@pytest.mark.parametrize("compute", [torch.float32, torch.bfloat16], ids=["cpu", "cuda"])
def test_a_bfloat16_base_with_float32_adapters_is_near_that_of_peft(compute: torch.dtype) -> None:
    """Both round to bfloat16 in other places: log-probabilities agree to 0.1, gradients to 3 % of their norm."""
    trainer = make_trainer(dtype=torch.bfloat16)
    trainer.base.compute_dtype = compute
    check(trainer, work("run", [9, 17, 9, 30]), make_model(dtype=torch.bfloat16), lp=0.1, gradient=0.03)


def test_a_step_down_the_gradient_lowers_the_loss(trainer: Trainer) -> None:
    adapter = trainer.create("run", SPEC)
    one = work("run", [20, 20])
    before = good(trainer.forward_backward([one]))[0].metrics["loss:sum"]
    grad: Tensor = adapter.grad.clone()
    adapter.flat.sub_(grad, alpha=1e-3 / float(grad.norm()))
    after = good(trainer.forward_backward([one]))[0].metrics["loss:sum"]
    assert (before - after) == pytest.approx(1e-3 * float(grad.norm()), rel=0.05)
