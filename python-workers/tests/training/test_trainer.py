"""Several works and runs together: what adds up, what must not touch what, and what remains after a failure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor
from training_support import QWEN3, RL, SPEC, STEP, datum, good, logprobs, make_trainer, work

from twinkle_worker.training.errors import TrainingError
from twinkle_worker.training.spec import LoraSpec, Work
from twinkle_worker.training.trainer import Trainer

CLOSE = {"atol": 1e-5, "rtol": 1e-5}


def gradient(trainer: Trainer, *works: Work, run: str = "run", spec: LoraSpec = SPEC) -> Tensor:
    """Of a fresh run, of which ``works`` come one call after the other."""
    adapter = trainer.create(run, spec)
    with torch.no_grad():
        adapter.flat.add_(torch.randn(adapter.flat.shape, generator=torch.Generator().manual_seed(1)), alpha=0.1)
    for one in works:
        good(trainer.forward_backward([one]))
    return adapter.grad.clone()


def train(trainer: Trainer, run: str, salt: int, steps: int) -> None:
    for step in range(steps):
        good(trainer.forward_backward([work(run, [9, 17, 5], salt=salt + 10 * step)]))
        trainer.optim_step(run, STEP)


@pytest.mark.parametrize("loss", ["cross_entropy", *RL])
def test_half_batches_sum_to_the_whole(trainer: Trainer, loss: str) -> None:
    whole = work("run", [9, 17, 30, 9], loss)
    parts = [Work("run", whole.datums[:2], loss, whole.config), Work("run", whole.datums[2:], loss, whole.config)]
    expected = gradient(trainer, whole)
    trainer.drop("run")
    torch.testing.assert_close(gradient(trainer, *parts), expected, atol=1e-4, rtol=1e-5)
    adapter = trainer.adapter("run")
    adapter.clear()
    good(trainer.forward_backward(parts))
    torch.testing.assert_close(adapter.grad, expected, atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize("max_tokens", [1, 17, 40])
def test_passes_of_any_size_give_the_same(trainer: Trainer, max_tokens: int) -> None:
    batch = work("run", [9, 17, 30, 9, 1], "ppo")
    torch.testing.assert_close(
        gradient(make_trainer(max_tokens=max_tokens), batch), gradient(trainer, batch), atol=1e-4, rtol=1e-5
    )


def test_two_runs_interleaved_are_two_runs_alone_bit_for_bit(trainer: Trainer) -> None:
    alone = make_trainer()
    other_spec = LoraSpec(rank=2, seed=9, train_mlp=False)
    for each in (trainer, alone):
        each.create("one", SPEC)
        each.create("two", other_spec)
    train(alone, "one", 0, 3)
    train(alone, "two", 50, 3)
    for step in range(3):
        for run, salt in (("two", 50), ("one", 0)):
            good(trainer.forward_backward([work(run, [9, 17, 5], salt=salt + 10 * step)]))
        trainer.optim_step("one", STEP)
        trainer.optim_step("two", STEP)
    for run in ("one", "two"):
        assert torch.equal(trainer.adapter(run).flat, alone.adapter(run).flat)
        assert not torch.equal(trainer.adapter(run).flat, make_trainer().create("new", trainer.adapter(run).spec).flat)


RUNS: list[tuple[str, LoraSpec, list[int]]] = [
    ("a", LoraSpec(rank=4, seed=1), [9, 12]),
    ("b", LoraSpec(rank=4, seed=2), [12, 9]),
    ("c", LoraSpec(rank=4, seed=3), [21]),
    ("g", LoraSpec(rank=4, seed=7, alpha=8.0), [21]),
    ("d", LoraSpec(rank=2, seed=4, alpha=4.0), [21]),
    ("e", LoraSpec(rank=4, seed=5, train_attn=False), [30]),
    ("f", LoraSpec(rank=4, seed=6, train_unembed=False, train_mlp=False), [30]),
]
"""The first three are alike in shape and rank, so layers take them as one stack; all others differ from their neighbour in one thing."""


@pytest.mark.parametrize("max_tokens", [1024, 40])
def test_runs_batched_together_are_runs_alone(max_tokens: int) -> None:
    together, alone = make_trainer(max_tokens=max_tokens), make_trainer()
    losses = ["cross_entropy", *RL, "cross_entropy", "ppo"]
    works = [
        work(run, lengths, loss, salt=at) for at, ((run, _, lengths), loss) in enumerate(zip(RUNS, losses, strict=True))
    ]
    expected = {run: gradient(alone, one, run=run, spec=spec) for one, (run, spec, _) in zip(works, RUNS, strict=True)}
    for run, spec, _ in RUNS:
        gradient(together, run=run, spec=spec)
    answers = good(together.forward_backward(works))
    for (run, _, _), one, answer in zip(RUNS, works, answers, strict=True):
        assert expected[run].norm() > 1
        torch.testing.assert_close(together.adapter(run).grad, expected[run], atol=1e-4, rtol=1e-5)
        single = good(alone.forward_backward([Work(run, one.datums, one.loss, one.config, forward_only=True)]))[0]
        torch.testing.assert_close(logprobs(answer), logprobs(single), **CLOSE)
        assert answer.metrics["loss:sum"] == pytest.approx(single.metrics["loss:sum"], abs=1e-4)


def test_stacks_in_bfloat16_are_works_alone_to_its_precision() -> None:
    together, alone = make_trainer(dtype=torch.bfloat16), make_trainer(dtype=torch.bfloat16)
    works = [work(run, [9, 12], salt=at) for at, run in enumerate("abc")]
    for each in (together, alone):
        each.base.compute_dtype = torch.bfloat16
        for at, run in enumerate("abc"):
            gradient(each, run=run, spec=LoraSpec(rank=4, seed=at))
    good(together.forward_backward(works))
    for one in works:
        good(alone.forward_backward([one]))
        ours, theirs = together.adapter(one.run).grad, alone.adapter(one.run).grad
        assert (ours - theirs).norm() < 0.03 * theirs.norm()


def test_stacks_are_made_of_works_of_one_shape(trainer: Trainer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the test above would not test them."""
    stacked: list[int | None] = []
    seen = trainer.base.hidden

    def spy(*args: Any) -> Tensor:
        stacked.extend(segment.slot.works for segment in trainer.base.context.segments)
        return seen(*args)

    monkeypatch.setattr(trainer.base, "hidden", spy)
    for run, spec, _ in RUNS:
        trainer.create(run, spec)
    good(trainer.forward_backward([work(run, lengths) for run, _, lengths in RUNS]))
    assert stacked == [3, None, None, None, None]


def test_forward_only_leaves_gradients_alone(trainer: Trainer) -> None:
    before = gradient(trainer, work("run", [9, 17]))
    alone = good(trainer.forward_backward([work("run", [8], forward_only=True)]))[0]
    assert torch.equal(trainer.adapter("run").grad, before)
    mixed = good(trainer.forward_backward([work("run", [8], forward_only=True), work("run", [8])]))
    assert torch.equal(logprobs(mixed[0]), logprobs(alone))
    assert not torch.equal(trainer.adapter("run").grad, before)


def poisoned(run: str) -> list[Work]:
    """Works that are refused before they begin, or that come out infinite."""
    bad = torch.full((9,), float("nan"))
    huge = datum(9, 1, "importance_sampling", logprobs=torch.full((9,), -1e30))
    return [
        Work(run, [datum(5, 2, "ppo"), datum(9, 1, "ppo", advantages=bad)], "ppo"),
        Work(run, [datum(5, 2, "importance_sampling"), huge], "importance_sampling"),
        work(run, [9], "nonsense"),
    ]


@pytest.mark.parametrize("at", range(3))
def test_a_poisoned_work_harms_neither_its_run_nor_others(trainer: Trainer, at: int) -> None:
    clean = make_trainer()
    for each in (trainer, clean):
        gradient(each, work("run", [9, 17]), run="run")
        gradient(each, run="other")
    bad = poisoned("run")[at]
    outcomes = trainer.forward_backward([bad, work("run", [8]), work("other", [14])])
    good(clean.forward_backward([work("run", [8]), work("other", [14])]))
    assert [outcome.error is None for outcome in outcomes] == [False, True, True]
    assert outcomes[0].error is not None
    assert (outcomes[0].outputs, outcomes[0].metrics) == ((), {})
    for run in ("run", "other"):
        torch.testing.assert_close(trainer.adapter(run).grad, clean.adapter(run).grad, **CLOSE)


def test_a_poisoned_first_work_leaves_no_trace_in_an_empty_gradient(trainer: Trainer) -> None:
    adapter = trainer.create("run", SPEC)
    outcome = trainer.forward_backward([poisoned("run")[1]])[0]
    assert outcome.error is not None
    assert (outcome.error.code, outcome.error.param) == ("NON_FINITE", "data[1]")
    assert not adapter.grad.any()
    _, fine = trainer.forward_backward([poisoned("run")[1], work("run", [9])])
    good([fine])
    torch.testing.assert_close(adapter.grad, _fresh_gradient([9]), **CLOSE)
    adapter.clear()
    good(trainer.forward_backward([work("run", [9])]))
    assert torch.equal(adapter.grad, _fresh_gradient([9]))


def _fresh_gradient(lengths: Sequence[int]) -> Tensor:
    other = make_trainer()
    adapter = other.create("run", SPEC)
    good(other.forward_backward([work("run", lengths)]))
    return adapter.grad


def fail_over(trainer: Trainer, monkeypatch: pytest.MonkeyPatch, most: int, error: Exception) -> list[int]:
    """Have passes of more than ``most`` tokens fail on their way back, once gradients have begun to add up."""
    sizes: list[int] = []
    hidden = trainer.base.hidden

    def limited(tokens: Tensor, layout: Any) -> Tensor:
        sizes.append(len(tokens))
        states = hidden(tokens, layout)
        if len(tokens) > most:

            def explode(_: Tensor) -> None:
                raise error

            states.register_hook(explode)
        return states

    monkeypatch.setattr(trainer.base, "hidden", limited)
    return sizes


def test_a_pass_out_of_memory_is_tried_again_in_smaller_ones(trainer: Trainer, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = gradient(make_trainer(), work("run", [9, 17, 17]))
    gradient(trainer)
    sizes = fail_over(trainer, monkeypatch, 17, torch.OutOfMemoryError("no room"))
    good(trainer.forward_backward([work("run", [9, 17, 17])]))
    torch.testing.assert_close(trainer.adapter("run").grad, expected, **CLOSE)
    assert sizes == [43, 17, 17, 9]


def test_a_work_that_never_fits_fails_alone_and_its_run_lives(
    trainer: Trainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = gradient(trainer, work("run", [12]))
    gradient(trainer, run="other")
    expected = gradient(make_trainer(), work("other", [14]), run="other")
    with monkeypatch.context() as patch:
        fail_over(trainer, patch, 20, torch.OutOfMemoryError("no room"))
        big, small = trainer.forward_backward([work("run", [30]), work("other", [14])])
    assert big.error is not None
    assert (big.error.code, big.error.user, small.error) == ("OUT_OF_MEMORY", False, None)
    assert torch.equal(trainer.adapter("run").grad, before)
    torch.testing.assert_close(trainer.adapter("other").grad, expected, **CLOSE)
    good(trainer.forward_backward([work("run", [30])]))


def test_an_unforeseen_error_is_an_outcome_too(trainer: Trainer, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer.create("run", SPEC)
    fail_over(trainer, monkeypatch, 0, ValueError("odd"))
    (outcome,) = trainer.forward_backward([work("run", [9])])
    assert outcome.error is not None
    assert (outcome.error.code, str(outcome.error)) == ("ENGINE_ERROR", "the pass failed: ValueError: odd")
    assert not trainer.adapter("run").grad.any()


def test_activation_checkpoints_change_nothing(trainer: Trainer) -> None:
    batch = work("run", [9, 17, 30], "ppo")
    expected = gradient(trainer, batch)
    sparing = make_trainer(checkpoint_activations=True)
    calls: list[int] = []
    mlp = sparing.base.model.model.layers[0].mlp
    mlp.register_forward_pre_hook(lambda *_: calls.append(1))
    assert torch.equal(gradient(sparing, batch), expected)
    assert len(calls) == 2
    good(sparing.forward_backward([work("run", [9], forward_only=True)]))
    assert len(calls) == 3


def test_runs_are_made_once_dropped_and_then_unknown(trainer: Trainer) -> None:
    trainer.create("run", SPEC)
    with pytest.raises(TrainingError, match="exists"):
        trainer.create("run", SPEC)
    trainer.drop("run")
    trainer.drop("run")
    (outcome,) = trainer.forward_backward([work("run", [9])])
    assert outcome.error is not None
    assert outcome.error.code == "RUN_NOT_FOUND"
    with pytest.raises(TrainingError, match="no run run"):
        trainer.optim_step("run", STEP)
    assert trainer.forward_backward([]) == []


def test_a_seed_means_the_same_weights_and_no_seed_means_others(trainer: Trainer) -> None:
    one, same, other, free = (
        trainer.create(name, LoraSpec(rank=3, seed=seed)) for name, seed in (("a", 1), ("b", 1), ("c", 2), ("d", None))
    )
    assert torch.equal(one.flat, same.flat)
    assert not torch.equal(one.flat, other.flat)
    assert not torch.equal(one.flat, free.flat)
    again = trainer.create("e", free.spec)
    assert torch.equal(free.flat, again.flat)
    for a, b in one.weights.values():
        assert not b.any()
        assert 0.8 / a.shape[1] ** 0.5 < a.abs().max() <= 1 / a.shape[1] ** 0.5
    assert (one.scale, QWEN3.hidden_size) == (32 / 3, 48)
