"""The calls of the contract, as Node sends them, on the built-in model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import numpy as np
import pytest
import torch
from training_support import alone

from twinkle_worker.engines import create_engine
from twinkle_worker.engines.base import RequestError, TrainingCalls
from twinkle_worker.protocol import METHOD_PARAMS, DetokenizeParams, LoadParams
from twinkle_worker.training.engine import TrainingEngine
from twinkle_worker.training.spec import LoraSpec

MODEL = str(Path(__file__).parents[2] / "demo_model" / "model")
TOKENS = [[5, 6, 7, 8], [9, 10]]
ADAM = {"learning_rate": 1e-2, "beta1": 0.9, "beta2": 0.95, "eps": 1e-12, "weight_decay": 0.0, "grad_clip_norm": 0.0}

PLAIN_LORA = {"alpha": 32, "dropout": 0, "targets": None, "rslora": False, "init": "default"}


@pytest.fixture(scope="module")
def engine() -> Iterator[TrainingEngine]:
    made: Any = create_engine("training", alone())
    card = made.load(LoadParams(model=MODEL, options={"dtype": "float32"}), lambda *_: None)
    assert (card.engine, card.dtype, card.parameters > 10**6, card.vocab_size) == ("training", "float32", True, 3072)
    yield made
    made.close()


def call(engine: Any, method: str, params: dict[str, Any]) -> Any:
    """As the rank does it: through msgpack, and into the struct of the method."""
    sent = msgspec.msgpack.decode(msgspec.msgpack.encode(params))
    answer = engine.train(method, msgspec.convert(sent, METHOD_PARAMS[method], strict=False))
    return msgspec.msgpack.decode(msgspec.msgpack.encode(answer))


def work(run: str, **changes: Any) -> dict[str, Any]:
    """Cross entropy of two datums; the second has no weights."""
    targets = np.concatenate([np.asarray(tokens) + 1 for tokens in TOKENS]).astype(np.int64)
    return {
        "run": run,
        "loss": "cross_entropy",
        "config": {},
        "forward_only": False,
        "tokens": np.concatenate(TOKENS).astype(np.int32).tobytes(),
        "lengths": [len(tokens) for tokens in TOKENS],
        "inputs": [
            {"name": "target_tokens", "dtype": "int64", "data": targets.tobytes(), "shapes": [[4], [2]]},
            {
                "name": "weights",
                "dtype": "float32",
                "data": np.ones(4, np.float32).tobytes(),
                "shapes": [[4], None],
            },
        ],
        **changes,
    }


def create(engine: Any, run: str, **changes: Any) -> None:
    parts = {"train_attn": True, "train_mlp": True, "train_unembed": True}
    params = {"run": run, "rank": 4, "seed": 3, **parts, **PLAIN_LORA}
    assert call(engine, "train_create", {**params, **changes}) is None


def test_a_run_learns(engine: TrainingEngine) -> None:
    assert isinstance(engine, TrainingCalls)
    create(engine, "learns")
    losses = []
    for _ in range(4):
        (outcome,) = call(engine, "train_pass", {"works": [work("learns")]})["outcomes"]
        losses.append(outcome["metrics"]["loss:sum"])
        metrics = call(engine, "train_step", {"run": "learns", **ADAM})["metrics"]
    assert losses[-1] < losses[0] * 0.9, losses
    assert metrics["grad_norm:mean"] > 0
    assert outcome["shapes"] == [[4], [2]]
    by_name = {one["name"]: np.frombuffer(one["data"], np.float32) for one in outcome["outputs"]}
    assert set(by_name) == {"logprobs", "elementwise_loss"}
    assert np.isclose(-by_name["logprobs"].sum(), losses[-1], rtol=1e-5)
    stats = engine.stats()
    assert (stats.steps, stats.prompt_tokens) == (4, 24)
    assert call(engine, "train_drop", {"run": "learns"}) is None
    (gone,) = call(engine, "train_pass", {"works": [work("learns")]})["outcomes"]
    assert "learns" in gone["failure"]["message"]


def test_one_that_is_wrong_harms_no_other(engine: TrainingEngine) -> None:
    create(engine, "sound")
    works = [work("sound", loss="nonsense"), work("sound"), work("nobody")]
    wrong, sound, lost = call(engine, "train_pass", {"works": works})["outcomes"]
    assert wrong["failure"]["user"]
    assert "nonsense" in wrong["failure"]["message"]
    assert sound["failure"] is None
    assert sound["metrics"]["loss:sum"] > 0
    assert lost["failure"]["user"]


@pytest.mark.parametrize(
    "changes",
    [
        {"lengths": [4, 3]},
        {"inputs": [{"name": "weights", "dtype": "int8", "data": b"", "shapes": [None, None]}]},
    ],
)
def test_bytes_that_do_not_fit_break_the_contract(engine: TrainingEngine, changes: dict[str, Any]) -> None:
    with pytest.raises(RequestError) as refused:
        call(engine, "train_pass", {"works": [work("any", **changes)]})
    assert refused.value.code == "PROTOCOL"


def test_a_rank_of_an_adapter_that_is_too_big_is_refused(engine: TrainingEngine) -> None:
    with pytest.raises(RequestError, match="rank of 1 to"):
        create(engine, "wide", rank=10**5)


def broken(_: Any) -> None:
    raise RuntimeError("broken")


@pytest.mark.parametrize(
    ("method", "answers", "params"),
    [
        ("train_pass", "compute", {"works": []}),
        ("train_norm", "norm", {"run": "a", "gradient_scale": 1, "norm_type": 2}),
    ],
)
def test_a_rank_that_others_wait_for_ends_where_it_fails(
    monkeypatch: pytest.MonkeyPatch, method: str, answers: str, params: dict[str, Any]
) -> None:
    for size, expected in ((1, RuntimeError), (2, SystemExit)):
        engine = TrainingEngine(msgspec.structs.replace(alone(), world_size=size))
        monkeypatch.setattr(engine, "_calls", SimpleNamespace(**{answers: broken}))
        with pytest.raises(expected):
            engine.train(method, METHOD_PARAMS[method](**params))


def test_options_of_a_lora_reach_the_run(engine: TrainingEngine) -> None:
    create(engine, "plain")
    options = {"alpha": 8, "dropout": 0.25, "targets": ["q_proj", "v_proj"], "rslora": True, "init": "gaussian"}
    create(engine, "optional", **options)
    assert engine._calls is not None
    runs = engine._calls._trainer.runs
    assert runs["plain"].spec == LoraSpec(rank=4, seed=3)
    words = ("q_proj", "v_proj")
    wanted = LoraSpec(rank=4, seed=3, alpha=8, dropout=0.25, targets=words, rslora=True, init="gaussian")
    assert runs["optional"].spec == wanted
    with pytest.raises(RequestError, match=r"'c_attn'; there is .*q_proj") as refused:
        create(engine, "wrong", targets=["c_attn"])
    assert refused.value.param == "lora_config.targets"
    with pytest.raises(RequestError, match="are a LoRA's"):
        create(engine, "whole", rank=0, targets=["q_proj"])


def test_options_of_a_step_reach_it_and_what_is_absent_is_a_step_of_adamw(engine: TrainingEngine) -> None:
    seen: list[Any] = []
    for run, options in (
        ("absent", {}),
        ("said", {"kind": "sgd", "momentum": 0.5, "gradient_scale": 0.5, "norm_type": 0}),
    ):
        create(engine, run)
        call(engine, "train_pass", {"works": [work(run)]})
        assert engine._calls is not None
        grad = engine._calls._trainer.adapter(run).grad.clone()
        before = engine._calls._trainer.adapter(run).flat.clone()
        metrics = call(engine, "train_step", {"run": run, **ADAM, **options})["metrics"]
        seen.append((grad, engine._calls._trainer.adapter(run).flat - before, metrics["grad_norm:mean"]))
    (grad, adam, norm), (same, sgd, largest) = seen
    assert torch.equal(grad, same)
    assert norm == pytest.approx(float(grad.norm()))
    assert largest == pytest.approx(float(grad.abs().max()) / 2)
    torch.testing.assert_close(sgd, -1e-2 * 0.5 * grad, atol=1e-6, rtol=1e-3)
    torch.testing.assert_close(adam[grad != 0].abs(), torch.full_like(adam[grad != 0], 1e-2), atol=1e-4, rtol=1e-2)


def test_a_norm_is_told_and_a_gradient_forgotten(engine: TrainingEngine) -> None:
    create(engine, "told")
    call(engine, "train_pass", {"works": [work("told")]})
    asked = {"run": "told", "gradient_scale": 0.5, "norm_type": 2}
    assert engine._calls is not None
    grad = engine._calls._trainer.adapter("told").grad
    before = grad.clone()
    assert call(engine, "train_norm", asked) == {"norm": pytest.approx(float(before.norm()) / 2)}
    assert torch.equal(grad, before)
    assert call(engine, "train_zero", {"run": "told"}) is None
    assert call(engine, "train_norm", asked) == {"norm": 0}
    for method, params in (("train_norm", {**asked, "run": "no"}), ("train_zero", {"run": "no"})):
        with pytest.raises(RequestError, match="there is no run no here"):
            call(engine, method, params)


def test_memory_that_is_not_used_is_given_back_between_turns(
    engine: TrainingEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[str] = []
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: given.append("back"))
    assert engine.train("train_release", None) is None
    assert given == []  # a CPU has no such cache
    assert engine._calls is not None
    monkeypatch.setattr(engine._calls._trainer.base, "device", torch.device("cuda"))
    assert engine.train("train_release", None) is None
    assert given == ["back"]


def test_what_only_a_sampler_does_is_refused(engine: TrainingEngine) -> None:
    with pytest.raises(RequestError, match="trains"):
        engine.detokenize(DetokenizeParams(token_ids=[1]))
    assert not engine.has_work()
