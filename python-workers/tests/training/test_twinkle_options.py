"""Options of works of the Twinkle API, what they give back, and what is refused, by which code and with which words."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from full_support import ALL
from test_twinkle_losses import started
from training_support import LENGTH, SPEC, VOCABULARY, datum, good, logprobs, make_trainer, work
from twinkle_support import CLASSES, TwinkleReference, contrast_work, twinkle_datum, twinkle_work

from twinkle_worker.training.errors import TrainingError
from twinkle_worker.training.inputs import Limits, prepare
from twinkle_worker.training.losses import LOSSES
from twinkle_worker.training.spec import Datum, Work
from twinkle_worker.training.trainer import Trainer

LIMITS = Limits(VOCABULARY, LENGTH)
CPU = torch.device("cpu")


@pytest.mark.parametrize("loss", CLASSES)
@pytest.mark.parametrize("forward_only", [True, False])
def test_entropies_are_given_beside_log_probabilities(trainer: Trainer, loss: str, forward_only: bool) -> None:
    reference = TwinkleReference(trainer, started(trainer))
    one = twinkle_work("run", [9, 17], loss, entropies=1, temperature=0.7, forward_only=forward_only)
    seen = good(trainer.forward_backward([one]))[0]
    for output, part in zip(seen.outputs, one.datums, strict=True):
        lp, entropies = reference.tokens(part, 0.7)
        torch.testing.assert_close(output["logprobs"], lp.detach(), atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(output["entropies"], entropies.detach(), atol=1e-5, rtol=1e-5)
        assert ("elementwise_loss" in output) == (loss == "cross_entropy")


@pytest.mark.parametrize("beside", [[], [work("run", [9, 9]), work("b", [9, 9])]])
def test_without_lora_the_base_answers_wherever_the_rows_lie(
    trainer: Trainer, monkeypatch: pytest.MonkeyPatch, beside: list[Work]
) -> None:
    """In the pass of the others, which are alike and stacked, whether or not it comes between them."""
    for run in ("run", "b"):
        started(trainer, run)
    asked = twinkle_work("run", [9, 12], "cross_entropy", disable_lora=1, forward_only=True)
    others = [Work(one.run, one.datums, one.loss, one.config, forward_only=True) for one in beside]
    runner: Any = trainer._passes
    original, made = runner._pass, []
    with monkeypatch.context() as patch:
        patch.setattr(runner, "_pass", lambda *args: (made.append(1), original(*args)))
        seen = good(trainer.forward_backward([*others[:1], asked, *others[1:]]))
    assert len(made) == 1
    fresh = make_trainer()
    fresh.create("run", SPEC)  # of which the second matrices are zero
    base = good(fresh.forward_backward([twinkle_work("run", [9, 12], "cross_entropy", forward_only=True)]))[0]
    torch.testing.assert_close(logprobs(seen[len(others[:1])]), logprobs(base), atol=1e-5, rtol=1e-5)
    trained = good(trainer.forward_backward([twinkle_work("run", [9, 12], "cross_entropy", forward_only=True)]))[0]
    assert not torch.allclose(logprobs(trained), logprobs(base), atol=1e-2)
    for one, other in zip([*seen[:1], *seen[2:]] if others else [], others, strict=True):
        alone = good(trainer.forward_backward([other]))[0]
        torch.testing.assert_close(logprobs(one), logprobs(alone), atol=1e-5, rtol=1e-5)


def test_a_run_of_all_the_model_has_no_base_to_ask() -> None:
    trainer = make_trainer()
    trainer.create_full("run", ALL)
    (seen,) = trainer.forward_backward([twinkle_work("run", [9], "grpo", disable_lora=1, forward_only=True)])
    assert seen.error is not None
    assert (seen.error.code, seen.error.user) == ("UNSUPPORTED_PARAMETER", True)


def refused(loss: str, lengths: list[int], salt: int = 0, **options: Any) -> Work:
    return twinkle_work("run", lengths, loss, salt, **options)


def with_inputs(loss: str, config: dict[str, Any] | None = None, **changes: Any) -> Work:
    return Work("run", [twinkle_datum(9, at, loss, **changes) for at in range(2)], f"twinkle.{loss}", config or {})


def anchored(flags: list[int], **options: Any) -> Work:
    datums = [
        Datum(twinkle_datum(4, at, "cross_entropy").tokens, {"anchor": torch.tensor([float(flag)])})
        for at, flag in enumerate(flags)
    ]
    return Work("run", datums, "twinkle.infonce", options)


CASES: dict[str, tuple[Work, str, str]] = {
    "name": (Work("run", [datum(4, 0)], "twinkle.mse"), "INVALID_REQUEST", r"twinkle\.grpo, .*'twinkle\.mse'"),
    "option": (refused("cross_entropy", [4], beta=1), "UNKNOWN_FIELD", "no option 'beta'.*dft"),
    "negative": (refused("grpo", [4], beta=-1), "INVALID_REQUEST", "at least 0 for beta"),
    "text": (refused("grpo", [4], beta="0.1"), "INVALID_REQUEST", "'0.1'"),
    "infinite": (refused("simpo", [4, 4], gamma=float("inf")), "INVALID_REQUEST", "finite"),
    "flag": (refused("cross_entropy", [4], dft=0.5), "INVALID_REQUEST", "0 or 1 for dft"),
    "temperature": (refused("dpo", [4, 4], temperature=0), "INVALID_REQUEST", "positive number for temperature"),
    "tau": (refused("sapo", [4], tau_neg=0), "INVALID_REQUEST", "positive number for tau_neg"),
    "loss type": (refused("dpo", [4, 4], loss_type="robust"), "INVALID_REQUEST", "sigmoid, hinge, ipo, kto_pair"),
    "loss type of another": (refused("cpo", [4, 4], loss_type="ipo"), "UNKNOWN_FIELD", "bc_coef"),
    "smooth": (refused("dpo", [4, 4], loss_type="ipo", label_smoothing=0.1), "INVALID_REQUEST", "label_smoothing"),
    "ipo": (refused("dpo", [4, 4], loss_type="ipo", beta=0), "INVALID_REQUEST", "divides by beta"),
    "odd": (refused("dpo", [4, 4, 4]), "INVALID_REQUEST", "pairs.*3 datums"),
    "old": (with_inputs("grpo", logprobs=None), "INVALID_REQUEST", "lacks the input 'logprobs'"),
    "old on policy": (with_inputs("grpo", {"on_policy": 1}), "UNKNOWN_FIELD", "'logprobs', which is none of"),
    "reference": (with_inputs("grpo", {"beta": 0.1}, ref_logprobs=None), "INVALID_REQUEST", "lacks .*'ref_logprobs'"),
    "dpo's reference": (
        with_inputs("dpo", {"beta": 0}, ref_logprobs=None),
        "INVALID_REQUEST",
        "lacks .*'ref_logprobs'",
    ),
    "weights of pairs": (with_inputs("simpo", weights=torch.ones(9)), "UNKNOWN_FIELD", "target_tokens, mask$"),
    "mask": (with_inputs("simpo", mask=torch.full((9,), 0.5)), "INVALID_REQUEST", "mask to be 0 or 1 in datum 0"),
    "no mask": (with_inputs("gspo", mask=None), "INVALID_REQUEST", "lacks the input 'mask'"),
    "columns": (
        with_inputs("cross_entropy", target_tokens=torch.zeros(9, 2, dtype=torch.int64), weights=None),
        "INVALID_REQUEST",
        r"int64 \[9\] in datum 0",
    ),
    "base": (refused("grpo", [4], disable_lora=1), "INVALID_REQUEST", "forward only"),
    "embedding": (Work("run", [Datum(datum(4, 0).tokens, {})], "twinkle.embedding"), "INVALID_REQUEST", "forward only"),
    "embedding with targets": (
        Work("run", [datum(4, 0)], "twinkle.embedding", forward_only=True),
        "UNKNOWN_FIELD",
        "takes none",
    ),
    "no anchor": (anchored([0, 0, 1, 0]), "INVALID_REQUEST", "first datum to be an anchor"),
    "no positive": (anchored([1, 0, 1, 1, 0]), "INVALID_REQUEST", "datum 2 has no positive"),
    "flags": (anchored([1, 2]), "INVALID_REQUEST", "anchor to be 0 or 1 in datum 1"),
    "wide": (
        Work("run", [Datum(datum(4, 0).tokens, {"anchor": torch.ones(4)})], "twinkle.infonce"),
        "INVALID_REQUEST",
        r"float32 \[1\] in datum 0",
    ),
    "negatives": (anchored([1, 0, 0, 1, 0], hard_negatives=2), "INVALID_REQUEST", "a group has none"),
    "half": (anchored([1, 0, 0], hard_negatives=1.5), "INVALID_REQUEST", "whole number for hard_negatives"),
    "margin": (anchored([1, 0], mask_fake_negative=1, fake_neg_margin=0), "INVALID_REQUEST", "fake_neg_margin"),
}


@pytest.mark.parametrize("case", CASES)
def test_refused_by_name(case: str) -> None:
    bad, code, words = CASES[case]
    with pytest.raises(TrainingError, match=words) as caught:
        prepare(bad, LIMITS, CPU)
    assert (caught.value.code, caught.value.user) == (code, True)


def test_a_bad_contrast_over_several_passes_says_what_is_wrong_with_it() -> None:
    trainer = make_trainer(max_tokens=10)
    trainer.create("run", SPEC)
    bad, fine = trainer.forward_backward([anchored([0, 0, 1, 0]), contrast_work("run", [[5, 9]])])
    assert bad.error is not None
    assert "first datum" in str(bad.error)
    assert fine.error is None


def test_clients_of_the_other_api_are_not_told_of_these_names() -> None:
    with pytest.raises(TrainingError) as caught:
        prepare(Work("run", [datum(4, 0)], "grpo"), LIMITS, CPU)
    assert "twinkle" not in str(caught.value)
    assert not any(name.startswith("twinkle") for name in LOSSES)


def test_inputs_that_a_loss_may_have_and_does_not_use_are_taken() -> None:
    for one in (with_inputs("grpo"), with_inputs("dpo", {"reference_free": 1})):
        assert "ref_logprobs" not in prepare(one, LIMITS, CPU).inputs


def test_pairs_stay_together_the_longest_first() -> None:
    made = prepare(twinkle_work("run", [4, 5, 20, 3, 9, 9], "dpo"), LIMITS, CPU)
    assert (made.order, made.groups, list(made.sizes)) == ((2, 3, 4, 5, 0, 1), (2, 2, 2), [23, 18, 9])
    assert made.numbers["pairs"] == 3
    spread = prepare(contrast_work("run", [[3, 4], [9, 2, 2]], use_batch=0), LIMITS, CPU)
    assert (spread.order, spread.groups, spread.anchors) == ((2, 3, 4, 0, 1), (3, 2), (3, 2))
    shared = prepare(contrast_work("run", [[3, 4], [9, 2, 2]]), LIMITS, CPU)
    assert (shared.order, shared.groups, shared.anchors) == ((0, 1, 2, 3, 4), (5,), (2, 3))
