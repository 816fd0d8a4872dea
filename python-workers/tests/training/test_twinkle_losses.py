"""Losses of the Twinkle API: values, log-probabilities and gradients against PEFT and autograd, alone and packed with others."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from full_support import ALL, CONFIGS, PlainLoop, tiny
from training_support import SPEC, STEP, good, logprobs, make_trainer, plain_loss, work
from twinkle_support import CLASSES, PAIRS, TOKENS, TwinkleReference, plain_pairs, twinkle_datum, twinkle_work

from twinkle_worker.training.adapter import Adapter
from twinkle_worker.training.spec import LoraSpec, Work
from twinkle_worker.training.trainer import Trainer

LENGTHS = [9, 17, 9, 30]
CASES: list[tuple[str, dict[str, Any]]] = [
    *((loss, {}) for loss in CLASSES),
    ("cross_entropy", {"dft": 1, "temperature": 1.7}),
    *(
        (loss, options)
        for loss in ("grpo", "sapo", "cispo", "gspo")
        for options in ({"beta": 0.3}, {"on_policy": 1, "beta": 0.1}, {"entropy_coef": 0.4, "temperature": 0.6})
    ),
    ("grpo", {"epsilon": 0.1, "epsilon_high": 0.6}),
    *(("dpo", {"loss_type": kind, "beta": 0.05}) for kind in ("hinge", "ipo", "kto_pair")),
    ("dpo", {"label_smoothing": 0.2, "sft_weight": 0.3}),
    ("dpo", {"reference_free": 1, "temperature": 1.3}),
    ("simpo", {"beta": 1.0, "gamma": 1.5}),
    ("cpo", {"beta": 0.02, "bc_coef": 0.5}),
    ("orpo", {"lambda_orpo": 0.7, "temperature": 1.3}),
]


def started(trainer: Trainer, run: str = "run") -> Adapter:
    """A run away from where all begin."""
    adapter = trainer.create(run, SPEC)
    adapter.flat.add_(torch.randn(adapter.flat.shape, generator=torch.Generator().manual_seed(3)), alpha=0.1)
    return adapter


def check(trainer: Trainer, one: Work, others: list[Work] | None = None) -> None:
    """Compare all that a work gives with the reference."""
    adapter = started(trainer)
    reference = TwinkleReference(trainer, adapter)
    outcome = good(trainer.forward_backward([*(others or ()), one]))[-1]
    temperature = float(one.config.get("temperature", 1.0))
    expected = torch.cat([reference.tokens(part, temperature)[0].detach() for part in one.datums])
    torch.testing.assert_close(logprobs(outcome), expected, atol=1e-5, rtol=1e-5)
    loss = reference.loss(one)
    loss.backward()
    assert outcome.metrics["loss:sum"] == pytest.approx(loss.item(), rel=1e-5, abs=1e-5)
    wanted = reference.flat_grad()
    assert wanted.norm() > 1e-2
    assert (adapter.grad - wanted).norm() <= 1e-5 * wanted.norm()
    forward = good(trainer.forward_backward([replace(one, forward_only=True)]))[0]
    assert forward.metrics["loss:sum"] == pytest.approx(loss.item(), rel=1e-5, abs=1e-5)


@pytest.mark.parametrize(("loss", "options"), CASES)
def test_every_loss_is_that_of_autograd(trainer: Trainer, loss: str, options: dict[str, Any]) -> None:
    check(trainer, twinkle_work("run", LENGTHS, loss, **options))


@pytest.mark.parametrize("checkpointed", [False, True])
@pytest.mark.parametrize("loss", ["grpo", "gspo", "dpo", "orpo"])
def test_passes_and_chunks_and_neighbours_change_nothing(
    monkeypatch: pytest.MonkeyPatch, loss: str, checkpointed: bool
) -> None:
    """Several passes, whose rows go through the head in chunks; between works of other runs and kinds, one without LoRA."""
    monkeypatch.setattr("twinkle_worker.training.head._CHUNK_NUMBERS", {"cpu": 1})
    trainer = make_trainer(max_tokens=50, checkpoint_activations=checkpointed)
    for run in ("b", "c"):
        started(trainer, run)
    others = [
        work("b", [9, 13]),
        twinkle_work("c", [5, 9], "dpo", salt=8),
        twinkle_work("b", [7], "grpo", salt=4, disable_lora=1, forward_only=True),
        twinkle_work("c", [9, 6], "cispo", salt=5, entropy_coef=0.1),
    ]
    extra: dict[str, Any] = {"entropy_coef": 0.2, "beta": 0.1} if loss in ("grpo", "gspo") else {}
    check(trainer, twinkle_work("run", [9, 17, 20, 22, 12, 4], loss, temperature=1.4, **extra), others)


def test_a_neighbour_is_not_changed_by_losses_of_other_kinds() -> None:
    alone, beside = make_trainer(), make_trainer()
    plain = work("a", [9, 17], "ppo")
    grads = []
    for trainer, works in ((alone, [plain]), (beside, [twinkle_work("b", [5, 9], "dpo"), plain])):
        for run in ("a", "b"):
            started(trainer, run)
        outcome = good(trainer.forward_backward(works))[-1]
        grads.append((trainer.adapter("a").grad, logprobs(outcome)))
    for one, other in zip(*grads, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("loss", ["grpo", "dpo", "gspo"])
@pytest.mark.parametrize("kind", ["tied", "untied"])
def test_full_runs_learn_by_them(loss: str, kind: str) -> None:
    trainer = make_trainer(CONFIGS[kind], max_tokens=40)
    run = trainer.create_full("run", ALL)
    plain = PlainLoop(tiny(kind), run.names, STEP)
    one = twinkle_work("run", LENGTHS, loss, beta=0.1)
    outcome = good(trainer.forward_backward([one]))[0]
    total = _plain_loss(plain, one)
    total.backward()
    assert outcome.metrics["loss:sum"] == pytest.approx(total.item(), rel=1e-5, abs=1e-5)
    wanted = plain.grad()
    assert (run.grad - wanted).norm() <= 1e-5 * wanted.norm()


def _plain_loss(plain: PlainLoop, one: Work) -> torch.Tensor:
    """By the oracle, over a plain model in place of PEFT's."""
    reference = TwinkleReference.__new__(TwinkleReference)
    reference.model = plain.model
    return reference.loss(one)


def test_old_and_reference_log_probabilities_may_lie_far_away(trainer: Trainer) -> None:
    """Ratios are held within exp(20) and have no slope there; a reference counts nothing where a token has no weight."""
    far = torch.tensor([-40.0, -3.0, 30.0, -4.0, -5.0, -4.4])
    weights = torch.tensor([1.0, 1.0, 1.0, 0.0, 1.0, 1.0])
    reference = torch.tensor([-4.0, -4.0, -4.0, 300.0, -4.0, -4.0])
    spread = {"logprobs": far, "advantages": torch.tensor([-1e-6, 1.0, 1.0, 1.0, -1.0, 1.0]), "weights": weights}
    for loss in ("grpo", "sapo", "cispo", "gspo"):
        mask = {"mask": weights} if loss == "gspo" else {}
        one = twinkle_datum(6, 1, loss, **spread, **mask, ref_logprobs=reference)
        near = twinkle_datum(6, 1, loss, **spread, **mask, ref_logprobs=reference.clamp(max=-4.0))
        run = started(trainer, loss)
        seen = good(trainer.forward_backward([Work(loss, [one], f"twinkle.{loss}", {"beta": 0.1})]))[0]
        oracle = TwinkleReference(trainer, run)
        wanted = oracle.loss(Work(loss, [near], f"twinkle.{loss}", {"beta": 0.1}))
        wanted.backward()
        assert seen.metrics["loss:sum"] == pytest.approx(wanted.item(), rel=1e-4)
        assert (run.grad - oracle.flat_grad()).norm() <= 1e-4 * oracle.flat_grad().norm()


def test_sequences_without_a_token_that_counts_are_no_trouble(trainer: Trainer) -> None:
    nothing = torch.zeros(9)
    for loss in (*PAIRS, "gspo"):
        started(trainer, loss)
        datums = [twinkle_datum(9, 1, loss, mask=nothing), twinkle_datum(7, 2, loss)]
        outcome = good(trainer.forward_backward([Work(loss, datums, f"twinkle.{loss}", {})]))[0]
        assert outcome.metrics["loss:sum"] == outcome.metrics["loss:sum"]
        assert trainer.adapter(loss).grad.isfinite().all()


def test_dropout_is_the_same_for_the_look_and_the_way_back() -> None:
    """Of the head, which sequences go through twice: the loss of the answered log-probabilities is the loss that was answered."""
    trainer = make_trainer()
    adapter = trainer.create("run", LoraSpec(rank=4, seed=5, dropout=0.5, train_attn=False, train_mlp=False))
    adapter.flat.add_(torch.randn(adapter.flat.shape, generator=torch.Generator().manual_seed(3)), alpha=0.3)
    one = twinkle_work("run", [9, 17], "simpo")
    seen = good(trainer.forward_backward([one]))[0]
    dry = good(trainer.forward_backward([replace(one, forward_only=True)]))[0]
    assert not torch.allclose(logprobs(seen), logprobs(dry), atol=1e-3)
    lps = [output["logprobs"] for output in seen.outputs]
    wanted = plain_pairs("simpo", lps, [part.inputs for part in one.datums], one.config)
    assert seen.metrics["loss:sum"] == pytest.approx(wanted.item(), rel=1e-5)


def test_names_of_the_other_api_mean_what_they_did(trainer: Trainer) -> None:
    """The plain cross-entropies of both are one."""
    started(trainer)
    mine = twinkle_work("run", LENGTHS, "cross_entropy")
    both = [mine, replace(mine, loss="cross_entropy", config={})]
    first, second = good(trainer.forward_backward(both))
    assert first.metrics["loss:sum"] == pytest.approx(second.metrics["loss:sum"], rel=1e-6)
    for one, other, given in zip(first.outputs, second.outputs, mine.datums, strict=True):
        assert one.keys() == other.keys() == {"logprobs", "elementwise_loss"}
        torch.testing.assert_close(one["elementwise_loss"], other["elementwise_loss"], atol=1e-6, rtol=1e-5)
        total = plain_loss("cross_entropy", one["logprobs"], given.inputs, {})
        assert one["elementwise_loss"].sum().item() == pytest.approx(total.item(), rel=1e-5)
    assert set(TOKENS) < set(CLASSES)
