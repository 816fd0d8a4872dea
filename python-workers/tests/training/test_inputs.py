"""What is refused, by which code, and the place that the refusal names."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from training_support import LENGTH, SPEC, VOCABULARY, datum, good, work

from twinkle_worker.training.errors import TrainingError
from twinkle_worker.training.inputs import Limits, prepare
from twinkle_worker.training.spec import Datum, LoraSpec, Work
from twinkle_worker.training.trainer import Trainer

LIMITS = Limits(VOCABULARY, LENGTH)
CPU = torch.device("cpu")
NAN = torch.tensor([0.0] * 8 + [float("nan")])
OUTSIDE = torch.tensor([0] * 8 + [VOCABULARY])


def one(loss: str = "cross_entropy", tokens: Any = None, config: Any = None, **changes: Any) -> Work:
    """A good datum, then one of nine tokens with ``changes``, then a longer good one."""
    bad = datum(9, 1, loss, **changes)
    bad = bad if tokens is None else Datum(tokens, bad.inputs)
    return Work("run", [datum(4, 0, loss), bad, datum(12, 2, loss)], loss, config or {})


CASES: dict[str, tuple[Work, str, str, str]] = {
    "empty batch": (work("run", []), "INVALID_REQUEST", "data", "at least one datum"),
    "empty datum": (
        one(tokens=torch.zeros(0, dtype=torch.int32)),
        "INVALID_REQUEST",
        "data[1].model_input",
        r"int32 \[0\]",
    ),
    "float tokens": (one(tokens=torch.zeros(9)), "INVALID_REQUEST", "data[1].model_input", r"float32 \[9\]"),
    "too long": (work("run", [LENGTH + 1]), "CONTEXT_LENGTH_EXCEEDED", "data[0].model_input", "over the 64"),
    "token outside": (one(tokens=OUTSIDE.int()), "INVALID_REQUEST", "data[1].model_input", "received 96 in datum 1"),
    "target outside": (
        one(target_tokens=OUTSIDE),
        "INVALID_REQUEST",
        "data[1].loss_fn_inputs.target_tokens",
        "0 to 95",
    ),
    "target below": (one(target_tokens=OUTSIDE - 97), "INVALID_REQUEST", "data[1].loss_fn_inputs.target_tokens", "-97"),
    "float targets": (
        one(target_tokens=torch.zeros(9)),
        "INVALID_REQUEST",
        "data[1].loss_fn_inputs.target_tokens",
        "int64",
    ),
    "no targets": (one(target_tokens=None), "INVALID_REQUEST", "data[1].loss_fn_inputs.target_tokens", "lacks"),
    "short targets": (
        one(target_tokens=torch.zeros(8, dtype=torch.int64)),
        "INVALID_REQUEST",
        "data[1].loss_fn_inputs.target_tokens",
        r"\[9\] or \[9, K\].*\[8\]",
    ),
    "no columns": (
        one(target_tokens=torch.zeros(9, 0, dtype=torch.int64), weights=None),
        "INVALID_REQUEST",
        "data[1].loss_fn_inputs.target_tokens",
        r"\[9, 0\]",
    ),
    "columns in ppo": (
        one("ppo", target_tokens=torch.zeros(9, 2, dtype=torch.int64)),
        "INVALID_REQUEST",
        "data[1].loss_fn_inputs.target_tokens",
        r"int64 \[9\] in datum 1",
    ),
    "short weights": (one(weights=torch.ones(8)), "INVALID_REQUEST", "data[1].loss_fn_inputs.weights", r"\[9\].*\[8\]"),
    "double weights": (
        one(weights=torch.ones(9).double()),
        "INVALID_REQUEST",
        "data[1].loss_fn_inputs.weights",
        "float64",
    ),
    "NaN weights": (one(weights=NAN), "INVALID_REQUEST", "data[1].loss_fn_inputs.weights", "datum 1"),
    "NaN advantages": (one("ppo", advantages=NAN), "INVALID_REQUEST", "data[1].loss_fn_inputs.advantages", "datum 1"),
    "infinite q": (
        one("dro", config={"beta": 1.0}, logprobs=torch.full((9,), -float("inf"))),
        "INVALID_REQUEST",
        "data[1].loss_fn_inputs.logprobs",
        "finite",
    ),
    "no advantages": (one("ppo", advantages=None), "INVALID_REQUEST", "data[1].loss_fn_inputs.advantages", "lacks"),
    "unknown input": (
        one(mask=torch.ones(9)),
        "UNKNOWN_FIELD",
        "data[1].loss_fn_inputs.mask",
        "target_tokens, weights",
    ),
    "unknown loss": (Work("run", [datum(4, 0)], "mse"), "INVALID_REQUEST", "loss_fn", "cross_entropy, "),
    "loss not done": (Work("run", [datum(4, 0)], "gspo"), "UNSUPPORTED_PARAMETER", "loss_fn", "not done here"),
    "unknown option": (one(config={"beta": 1.0}), "UNKNOWN_FIELD", "loss_fn_config.beta", "it has none"),
    "unknown ppo option": (
        one("ppo", config={"clip": 1.0}),
        "UNKNOWN_FIELD",
        "loss_fn_config.clip",
        "clip_low_threshold",
    ),
    "no beta": (one("dro"), "INVALID_REQUEST", "loss_fn_config.beta", "no default"),
    "text": (one("dro", config={"beta": "0.05"}), "INVALID_REQUEST", "loss_fn_config.beta", "'0.05'"),
    "infinite option": (one("dro", config={"beta": float("inf")}), "INVALID_REQUEST", "loss_fn_config.beta", "finite"),
    "crossed": (one("ppo", config={"clip_low_threshold": 2.0}), "INVALID_REQUEST", "loss_fn_config", "over"),
}


@pytest.mark.parametrize("case", CASES)
def test_refused_by_name(case: str) -> None:
    bad, code, param, words = CASES[case]
    with pytest.raises(TrainingError, match=words) as caught:
        prepare(bad, LIMITS, CPU)
    assert (caught.value.code, caught.value.param, caught.value.user) == (code, param, True)


def test_what_is_allowed_at_the_edges() -> None:
    huge = torch.full((9,), 3e38)
    fine = prepare(one(weights=huge, target_tokens=OUTSIDE.clamp(max=VOCABULARY - 1).int()), LIMITS, CPU)
    assert fine.order == (2, 1, 0)
    assert fine.lengths == (12, 9, 4)
    assert fine.tokens.dtype == fine.targets.dtype == torch.int64
    assert torch.equal(fine.inputs["weights"][12:21, 0], huge)
    assert prepare(work("run", [LENGTH]), LIMITS, CPU).lengths == (LENGTH,)
    assert prepare(one("ppo"), LIMITS, CPU).numbers == {"clip_low_threshold": 0.8, "clip_high_threshold": 1.2}
    assert prepare(one("cispo"), LIMITS, CPU).numbers == {"clip_low_threshold": 0.0, "clip_high_threshold": 4.0}


def test_one_datum_without_weights_among_others_has_ones() -> None:
    mixed = prepare(one(weights=None), LIMITS, CPU)
    assert torch.equal(mixed.inputs["weights"][12:21], torch.ones(9, 1))
    assert prepare(Work("run", [datum(4, 0, weights=None)], "cross_entropy"), LIMITS, CPU).inputs == {}


@pytest.mark.parametrize(
    ("changes", "param"),
    [
        ({"rank": 0}, "rank"),
        ({"rank": 257}, "rank"),
        ({"rank": True}, "rank"),
        ({"rank": 2.0}, "rank"),
        ({"seed": 2**64}, "seed"),
        ({"seed": "x"}, "seed"),
        ({"alpha": 0.0}, "alpha"),
        ({"alpha": float("nan")}, "alpha"),
    ],
)
def test_specs_out_of_range_are_refused(trainer: Trainer, changes: dict[str, Any], param: str) -> None:
    with pytest.raises(TrainingError) as caught:
        trainer.create("run", LoraSpec(**{"rank": 4, **changes}))
    assert caught.value.param == f"lora_config.{param}"
    assert trainer.runs == {}


@pytest.mark.parametrize("seed", [-(2**63), 2**64 - 1, 0])
def test_seeds_at_the_edges_are_taken(trainer: Trainer, seed: int) -> None:
    trainer.create("run", LoraSpec(rank=1, seed=seed))
    good(trainer.forward_backward([work("run", [3])]))
    assert trainer.adapter("run").spec == LoraSpec(rank=1, seed=seed)
    assert SPEC.kinds == ("attn", "mlp", "unembed")


def test_targets_of_a_wrong_length_are_named_whatever_came_before_them() -> None:
    inputs = {"weights": torch.ones(2), "target_tokens": torch.ones(2, dtype=torch.int64)}
    sent = Work("run", [Datum(torch.ones(3, dtype=torch.int32), inputs)], "cross_entropy")
    with pytest.raises(
        TrainingError, match=r"target_tokens int64 \[3\] or \[3, K\] in datum 0 but received int64 \[2\]"
    ):
        prepare(sent, LIMITS, CPU)
