"""Runs that train the model's own parameters, beside a plain torch loop; and what they leave of the model when they are over."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import pytest
import torch
from full_support import ALL, CONFIGS, PlainLoop, full, same, tiny, values
from training_support import RL, SPEC, STEP, datum, good, logprobs, make_trainer, work
from transformers import Qwen3MoeConfig

from twinkle_worker.engines.base import RequestError
from twinkle_worker.protocol import CreateRunParams
from twinkle_worker.training import full_run
from twinkle_worker.training.calls import TrainerCalls
from twinkle_worker.training.errors import TrainingError
from twinkle_worker.training.passes import PassRunner
from twinkle_worker.training.spec import FullSpec, Work

CLOSE = {"atol": 1e-5, "rtol": 1e-5}
PLAIN_LORA: Any = (32, 0, None, False, "default")


@pytest.mark.parametrize("kind", CONFIGS)
def test_losses_gradients_and_steps_are_those_of_a_plain_loop(kind: str) -> None:
    trainer = make_trainer(CONFIGS[kind], max_tokens=40)
    run = trainer.create_full("run", ALL)
    plain = PlainLoop(tiny(kind), run.names, STEP)
    assert len(run.names) == len(list(plain.model.parameters()))
    for step in range(3):
        batch = [work("run", [9, 17, 30], loss, salt=step) for loss in ("cross_entropy", *RL)]
        outcomes = good(trainer.forward_backward(batch))
        wanted = plain.backward(batch)
        assert sum(one.metrics["loss:sum"] for one in outcomes) == pytest.approx(wanted, rel=1e-5)
        torch.testing.assert_close(run.grad / run.grad.norm(), plain.grad() / plain.grad().norm(), **CLOSE)
        trainer.optim_step("run", STEP)
        plain.step()
        torch.testing.assert_close(run.flat, plain.flat(), atol=1e-5 * 3 ** (step + 1), rtol=1e-5)
    (seen,) = good(trainer.forward_backward([work("run", [20], forward_only=True)]))
    torch.testing.assert_close(logprobs(seen), plain.logprobs(work("run", [20]).datums[0]), atol=1e-3, rtol=1e-4)


@pytest.mark.parametrize("kinds", [("attn",), ("mlp",), ("unembed",), ("attn", "mlp")])
@pytest.mark.parametrize("kind", CONFIGS)
def test_only_what_is_asked_for_is_trained(kind: str, kinds: tuple[str, ...]) -> None:
    trainer = make_trainer(CONFIGS[kind])
    run = trainer.create_full("run", FullSpec(**{f"train_{one}": one in kinds for one in ("attn", "mlp", "unembed")}))
    before = values(trainer.base.model)
    plain = PlainLoop(tiny(kind), run.names, STEP)
    batch = [work("run", [9, 17])]
    good(trainer.forward_backward(batch))
    plain.backward(batch)
    torch.testing.assert_close(run.grad, plain.grad(), atol=1e-4, rtol=1e-4)
    trainer.optim_step("run", STEP)
    after = values(trainer.base.model)
    moved = {name for name in after if not torch.equal(before[name], after[name])}
    assert moved - {"lm_head.weight"} == set(run.names) - {"lm_head.weight"}
    assert ("lm_head.weight" in moved) == ("unembed" in kinds)
    heads = [name for name in run.names if "embed" in name or "lm_head" in name]
    assert len(heads) == (0 if "unembed" not in kinds else 1 if kind == "tied" else 2)
    assert all(("norm" not in name and "self_attn" not in name) or "attn" in kinds for name in run.names)


def test_nothing_to_train_is_refused() -> None:
    with pytest.raises(TrainingError, match="nothing"):
        make_trainer().create_full("run", FullSpec(train_attn=False, train_mlp=False, train_unembed=False))


def test_experts_are_trained_too() -> None:
    config = Qwen3MoeConfig(
        **{key: getattr(CONFIGS["untied"], key) for key in ("vocab_size", "hidden_size", "num_hidden_layers")},
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=16,
        num_experts=4,
        num_experts_per_tok=2,
        moe_intermediate_size=32,
        intermediate_size=96,
        max_position_embeddings=64,
        initializer_range=0.2,
        bos_token_id=None,
        eos_token_id=None,
        pad_token_id=None,
    )
    run = make_trainer(config).create_full("run", ALL)
    assert any("experts" in name for name in run.names)


@pytest.mark.parametrize("loss", ["cross_entropy", *RL])
def test_half_batches_sum_to_the_whole(loss: str) -> None:
    whole = work("run", [9, 17, 30, 9], loss)
    halves = [Work("run", part, loss, whole.config) for part in (whole.datums[:2], whole.datums[2:])]
    grads = []
    for together in ([[whole]], [[halves[0]], [halves[1]]], [halves]):
        trainer = make_trainer()
        run = trainer.create_full("run", ALL)
        for works in together:
            good(trainer.forward_backward(works))
        grads.append(run.grad)
    for one in grads[1:]:
        torch.testing.assert_close(one, grads[0], atol=1e-4, rtol=1e-4)


def test_gradients_of_bfloat16_are_added_up_in_float32() -> None:
    """Sixteen times the same in passes of their own: a sum in bfloat16 would lose digits."""
    trainer = make_trainer(dtype=torch.bfloat16, max_tokens=20)
    run = trainer.create_full("run", ALL)
    one = work("run", [20])
    good(trainer.forward_backward([one]))
    single = run.grad.clone()
    run.clear()
    good(trainer.forward_backward([Work("run", [*one.datums] * 16, one.loss)]))
    torch.testing.assert_close(run.grad, single * 16, rtol=1e-6, atol=1e-6)
    before = run.flat.clone()
    trainer.optim_step("run", STEP)
    weight = trainer.base.model.get_parameter(run.names[0])
    assert weight.dtype == torch.bfloat16
    assert torch.equal(weight, run.weights[0].bfloat16())
    assert (run.flat != run.flat.bfloat16().float()).any()
    assert not torch.equal(run.flat, before)


def failing(runner: Any, after: int) -> Any:
    """A pass that has no memory once so many have been made, in the middle of its way back."""
    original, made = PassRunner._pass, []

    def fail(attempts: Any, parts: Any, backward: bool) -> None:
        original(runner, attempts, parts, backward)
        made.append(1)
        if len(made) > after:
            raise MemoryError("none left")

    return fail


@pytest.mark.parametrize("accumulated", [False, True])
def test_a_failed_work_leaves_the_gradient_as_it_was(monkeypatch: pytest.MonkeyPatch, accumulated: bool) -> None:
    trainer = make_trainer(max_tokens=17)
    run = trainer.create_full("run", ALL)
    if accumulated:
        good(trainer.forward_backward([work("run", [5, 9])]))
    before = run.grad.clone()
    runner: Any = trainer._passes
    with monkeypatch.context() as patch:
        patch.setattr(runner, "_pass", failing(runner, 1))
        (outcome,) = trainer.forward_backward([work("run", [17, 16, 15])])
    assert outcome.error is not None
    assert outcome.error.code == "OUT_OF_MEMORY"
    assert torch.equal(run.grad, before)
    assert before.any() == accumulated
    wrong = work("run", [9], "nonsense")
    assert [one.error is None for one in trainer.forward_backward([wrong, work("run", [9])])] == [False, True]


@pytest.mark.parametrize("first", [False, True])
def test_a_poisoned_work_is_no_part_of_those_beside_it(first: bool) -> None:
    huge = datum(9, 1, "importance_sampling", logprobs=torch.full((9,), -1e30))
    bad, sound = Work("run", [huge], "importance_sampling"), work("run", [8])
    trainer, fresh = make_trainer(), make_trainer()
    run = trainer.create_full("run", ALL)
    outcomes = trainer.forward_backward([bad, sound] if first else [sound, bad])
    assert [one.error is not None for one in outcomes] == [first, not first]
    fresh.create_full("run", ALL)
    good(fresh.forward_backward([sound]))
    assert torch.equal(run.grad, full(fresh).grad)


def test_what_a_broken_pass_left_in_autograd_is_no_part_of_the_next() -> None:
    trainer = make_trainer()
    run = trainer.create_full("run", ALL)
    weight = trainer.base.model.get_parameter(run.names[-1])
    weight.grad = torch.full_like(weight, 7.0)  # as where memory ran out in between
    good(trainer.forward_backward([work("run", [9])]))
    fresh = make_trainer()
    fresh.create_full("run", ALL)
    good(fresh.forward_backward([work("run", [9])]))
    assert torch.equal(run.grad, full(fresh).grad)


def test_a_gradient_that_is_not_finite_refuses_the_step() -> None:
    trainer = make_trainer()
    run = trainer.create_full("run", ALL)
    good(trainer.forward_backward([work("run", [9])]))
    before = values(trainer.base.model)
    run.grad[0] = float("nan")
    with pytest.raises(TrainingError, match="cleared"):
        trainer.optim_step("run", STEP)
    assert same(values(trainer.base.model), before)
    assert run.step == 0


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_run_that_is_over_leaves_the_base_as_it_was(dtype: torch.dtype) -> None:
    trainer = make_trainer(dtype=dtype)
    before = values(trainer.base.model)

    def lora() -> torch.Tensor:
        trainer.create("lora", SPEC)
        for step in range(2):
            good(trainer.forward_backward([work("lora", [9, 17], salt=step)]))
            trainer.optim_step("lora", STEP)
        trained = trainer.adapter("lora").flat.clone()
        trainer.drop("lora")
        return trained

    first = lora()
    trainer.create_full("run", ALL)
    good(trainer.forward_backward([work("run", [9, 17])]))
    trainer.optim_step("run", STEP)
    assert not same(values(trainer.base.model), before)
    trainer.drop("run")
    assert same(values(trainer.base.model), before)
    assert not any(weight.requires_grad for weight in trainer.base.model.parameters())
    assert trainer.base.model.lm_head.weight is trainer.base.model.model.embed_tokens.weight
    assert torch.equal(lora(), first)
    again = trainer.create_full("run", ALL)
    assert (again.step, again.grad.any()) == (0, False)


def test_what_a_run_took_is_free_once_it_is_over() -> None:
    """At once: it is as much as several models, and Python does not look for cycles because a device is full."""
    trainer = make_trainer()
    flat = weakref.ref(trainer.create_full("run", ALL).flat)
    good(trainer.forward_backward([work("run", [9]), work("run", [9])]))
    trainer.optim_step("run", STEP)
    gc.disable()
    try:
        trainer.drop("run")
        assert flat() is None
    finally:
        gc.enable()


def test_activation_checkpoints_change_nothing() -> None:
    grads = []
    for trainer in (make_trainer(), make_trainer(checkpoint_activations=True)):
        run = trainer.create_full("run", ALL)
        good(trainer.forward_backward([work("run", [9, 17, 30], "ppo")]))
        grads.append(run.grad)
    assert torch.equal(*grads)


def test_it_is_alone() -> None:
    trainer = make_trainer()
    trainer.create("lora", SPEC)
    for make in (lambda: trainer.create_full("run", ALL), lambda: trainer.create_full("lora", ALL)):
        with pytest.raises(TrainingError):
            make()
    trainer.drop("lora")
    trainer.create_full("run", ALL)
    for make in (lambda: trainer.create("lora", SPEC), lambda: trainer.create_full("other", ALL)):
        with pytest.raises(TrainingError, match="alone"):
            make()
    with pytest.raises(TrainingError, match="no adapter"):
        trainer.hand_over("run")


@pytest.mark.parametrize("at", ["before", "within"])
def test_no_memory_is_said_in_bytes_and_harms_nothing(monkeypatch: pytest.MonkeyPatch, at: str) -> None:
    trainer = make_trainer()
    before = values(trainer.base.model)
    size = sum(weight.numel() for weight in trainer.base.model.parameters())
    if at == "before":
        monkeypatch.setattr(full_run, "free_memory", lambda: size * 16 - 1)
    else:
        register = torch.nn.Parameter.register_post_accumulate_grad_hook

        def fail(weight: Any, hook: Any) -> Any:
            if weight is trainer.base.model.model.norm.weight:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return register(weight, hook)

        monkeypatch.setattr(torch.nn.Parameter, "register_post_accumulate_grad_hook", fail)
    with pytest.raises(TrainingError, match=f"{size * 16} bytes .* 16 for each of {size} parameters") as caught:
        trainer.create_full("run", ALL)
    assert (caught.value.code, trainer.runs) == ("OUT_OF_MEMORY", {})
    assert same(values(trainer.base.model), before)
    trainer.create("lora", SPEC)


def test_rank_0_of_the_contract_is_a_full_run() -> None:
    calls = TrainerCalls.__new__(TrainerCalls)
    calls._trainer = make_trainer()
    calls.create(CreateRunParams("run", 0, 5, True, False, True, *PLAIN_LORA))
    assert full(calls._trainer).spec == FullSpec(train_mlp=False)
    with pytest.raises(RequestError, match="alone"):
        calls.create(CreateRunParams("lora", 4, None, True, True, True, *PLAIN_LORA))
