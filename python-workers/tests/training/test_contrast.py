"""InfoNCE over embeddings, and embeddings alone, against PEFT and autograd: in one pass, and over several."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from full_support import ALL, PlainLoop, tiny
from test_twinkle_losses import started
from training_support import SPEC, STEP, good, make_trainer, work
from twinkle_support import TwinkleReference, contrast_work, plain_infonce, twinkle_work

from twinkle_worker.training.contrast import Embedded, infonce
from twinkle_worker.training.spec import Datum, LoraSpec, Work
from twinkle_worker.training.trainer import Trainer
from twinkle_worker.training.twinkle_losses import twinkle_loss

EVEN = [[5, 9, 7], [12, 4, 9], [6, 6, 11]]
RAGGED = [[5, 9], [12, 4, 9, 3], [6, 6, 11]]
CASES: list[tuple[list[list[int]], dict[str, Any]]] = [
    *((groups, {"use_batch": shared}) for groups in (EVEN, RAGGED) for shared in (0, 1)),
    (RAGGED, {"temperature": 0.5, "include_qq": 1}),
    (EVEN, {"include_dd": 1}),
    (RAGGED, {"include_qq": 1, "include_dd": 1, "mask_fake_negative": 1, "fake_neg_margin": 0.01}),
    (EVEN, {"use_batch": 0, "hard_negatives": 3}),
    ([[5, 9, 4], [12, 4, 9, 3, 8]], {"hard_negatives": 2}),
]


def embedded(outcome: Any) -> torch.Tensor:
    return torch.stack([output["embeddings"] for output in outcome.outputs])


@pytest.mark.parametrize("max_tokens", [None, 20])
@pytest.mark.parametrize(("groups", "options"), CASES)
def test_the_contrast_is_that_of_autograd(
    groups: list[list[int]], options: dict[str, Any], max_tokens: int | None
) -> None:
    """Also where all is contrasted with all and does not fit into one pass."""
    trainer = make_trainer(max_tokens=max_tokens)
    adapter = started(trainer)
    one = contrast_work("run", groups, **options)
    reference = TwinkleReference(trainer, adapter)
    outcome = good(trainer.forward_backward([one]))[0]
    expected = torch.stack([reference.embedding(part).detach() for part in one.datums])
    torch.testing.assert_close(embedded(outcome), expected, atol=1e-5, rtol=1e-5)
    loss = reference.loss(one)
    loss.backward()
    assert outcome.metrics["loss:sum"] == pytest.approx(loss.item(), rel=1e-4)
    wanted = reference.flat_grad()
    assert wanted.norm() > 1e-2
    assert (adapter.grad - wanted).norm() <= 1e-4 * wanted.norm()
    forward = good(trainer.forward_backward([replace(one, forward_only=True)]))[0]
    assert forward.metrics["loss:sum"] == pytest.approx(loss.item(), rel=1e-4)
    torch.testing.assert_close(embedded(forward), embedded(outcome), atol=1e-5, rtol=1e-5)


def test_fake_negatives_are_left_out_by_what_they_are() -> None:
    """On vectors whose similarities fall on both sides of the margin."""
    random = torch.Generator().manual_seed(4)
    vectors = torch.nn.functional.normalize(torch.randn(11, 3, generator=random), dim=-1)
    groups = [3, 2, 4, 2]
    anchors = [1.0, 0, 0, 1, 0, 1, 0, 0, 0, 1, 0]
    values = []
    for options in ({}, {"mask_fake_negative": 1}, {"mask_fake_negative": 1, "include_qq": 1, "include_dd": 1}):
        _, numbers, _ = twinkle_loss("twinkle.infonce", options)
        leaf = vectors.clone().requires_grad_()
        ours = infonce(Embedded(leaf, groups, {}), {**numbers, "groups": 4.0}).sum()
        theirs = plain_infonce(vectors.clone().requires_grad_(), anchors, options)
        assert ours.item() == pytest.approx(theirs.item(), rel=1e-5)
        other = vectors.clone().requires_grad_()
        torch.testing.assert_close(
            torch.autograd.grad(ours, leaf), torch.autograd.grad(plain_infonce(other, anchors, options), other)
        )
        values.append(ours.item())
    assert values[1] < values[0]
    assert values[1] < values[2]


@pytest.mark.parametrize("max_tokens", [None, 20])
def test_neighbours_in_a_pass_change_nothing(max_tokens: int | None) -> None:
    trainer = make_trainer(max_tokens=max_tokens)
    for run in ("run", "b"):
        started(trainer, run)
    works = [work("b", [9, 5]), contrast_work("run", RAGGED), twinkle_work("b", [7, 4], "dpo"), work("run", [6])]
    together = good(trainer.forward_backward(works))
    grads = [trainer.adapter(run).grad.clone() for run in ("run", "b")]
    apart = make_trainer()
    for run in ("run", "b"):
        started(apart, run)
    alone = [good(apart.forward_backward([one]))[0] for one in works]
    for one, other in zip(together, alone, strict=True):
        assert one.metrics["loss:sum"] == pytest.approx(other.metrics["loss:sum"], rel=1e-4)
    for grad, run in zip(grads, ("run", "b"), strict=True):
        wanted = apart.adapter(run).grad
        assert (grad - wanted).norm() <= 1e-5 * wanted.norm()


@pytest.mark.parametrize("max_tokens", [None, 20])
@pytest.mark.parametrize("checkpointed", [False, True])
def test_full_runs_learn_by_it(max_tokens: int | None, checkpointed: bool) -> None:
    trainer = make_trainer(max_tokens=max_tokens, checkpoint_activations=checkpointed)
    run = trainer.create_full("run", ALL)
    plain = PlainLoop(tiny("tied"), run.names, STEP)
    one = contrast_work("run", RAGGED)
    good(trainer.forward_backward([one]))
    vectors = []
    for part in one.datums:
        states = plain.model.model(input_ids=part.tokens.long().unsqueeze(0)).last_hidden_state[0, -1]
        vectors.append(torch.nn.functional.normalize(states, dim=-1))
    plain_infonce(torch.stack(vectors), [float(part.inputs["anchor"]) for part in one.datums], {}).backward()
    wanted = plain.grad()
    assert (run.grad - wanted).norm() <= 1e-4 * wanted.norm()


def test_both_halves_leave_out_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """With dropout, a work of several passes is embedded twice alike: the embeddings of both times are the same."""
    trainer = make_trainer(max_tokens=20)
    trainer.create("run", LoraSpec(rank=4, seed=5, dropout=0.5))
    started(trainer, "b")
    trainer.adapter("run").flat.add_(0.1)
    seen: list[torch.Tensor] = []
    passes: Any = trainer._passes
    original = passes.run

    def watched(jobs: Any, backward: Any) -> None:
        original(jobs, backward)
        seen.extend(embedded(job.outcome) for job in jobs if job is not None and job.adapter is not trainer.runs["b"])

    monkeypatch.setattr(passes, "run", watched)
    good(trainer.forward_backward([work("b", [9]), contrast_work("run", RAGGED)]))
    first, second = seen
    torch.testing.assert_close(first, second, atol=1e-5, rtol=1e-5)
    good(trainer.forward_backward([contrast_work("run", RAGGED, forward_only=True)]))
    assert not torch.allclose(first, seen[-1], atol=1e-3)


def test_embeddings_alone_go_through_no_head(trainer: Trainer) -> None:
    adapter = started(trainer)
    calls: list[int] = []
    trainer.base.head.register_forward_hook(lambda *args: calls.append(1))  # type: ignore[attr-defined]
    datums = [Datum(one.tokens, {}) for one in contrast_work("run", RAGGED).datums]
    seen = good(trainer.forward_backward([Work("run", datums, "twinkle.embedding", {}, forward_only=True)]))[0]
    reference = TwinkleReference(trainer, adapter)
    expected = torch.stack([reference.embedding(one).detach() for one in datums])
    torch.testing.assert_close(embedded(seen), expected, atol=1e-5, rtol=1e-5)
    assert seen.metrics == {"loss:sum": 0.0}
    assert [output.keys() for output in seen.outputs] == [{"embeddings"}] * len(datums)
    assert not calls
    bare = good(
        trainer.forward_backward(
            [Work("run", datums, "twinkle.embedding", {"disable_lora": 1}, forward_only=True), work("run", [4])]
        )
    )[0]
    fresh = make_trainer()
    fresh.create("run", SPEC)  # of which the second matrices are zero
    base = good(fresh.forward_backward([Work("run", datums, "twinkle.embedding", {}, forward_only=True)]))[0]
    torch.testing.assert_close(embedded(bare), embedded(base), atol=1e-5, rtol=1e-5)
    assert not torch.allclose(embedded(bare), embedded(seen), atol=1e-3)


@pytest.mark.parametrize("max_tokens", [None, 20])
def test_a_gradient_before_it_is_kept_and_a_failure_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch, max_tokens: int | None
) -> None:
    trainer = make_trainer(max_tokens=max_tokens)
    started(trainer)
    good(trainer.forward_backward([work("run", [9])]))
    before = trainer.adapter("run").grad.clone()
    passes: Any = trainer._passes
    original = passes._pass
    for halves in (False, True):

        def fail(attempts: Any, parts: Any, backward: bool, halves: bool = halves) -> None:
            original(attempts, parts, backward)
            if backward or not halves:
                raise MemoryError("none left")

        with monkeypatch.context() as patch:
            patch.setattr(passes, "_pass", fail)
            (outcome,) = trainer.forward_backward([contrast_work("run", RAGGED)])
        assert outcome.error is not None
        assert outcome.error.code == "OUT_OF_MEMORY"
        assert torch.equal(trainer.adapter("run").grad, before)
    one = contrast_work("run", RAGGED)
    good(trainer.forward_backward([one, one]))
    fresh = make_trainer()
    started(fresh)
    good(fresh.forward_backward([one]))
    torch.testing.assert_close(
        trainer.adapter("run").grad - before, 2 * fresh.adapter("run").grad, atol=1e-4, rtol=1e-3
    )
