"""A base model that is spread over two ranks trains as a whole one does, and whatever fails in one of them, both go on in step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from ranks_support import on_two_ranks, same_as_alone, scenario
from torch import Tensor, nn
from training_support import LENGTH, QWEN3, SPEC, STEP, VOCABULARY, good, logprobs, make_model, make_trainer, work
from transformers import Gemma2Config, LlamaConfig

from twinkle_worker.engines.base import LoadError
from twinkle_worker.training.base_model import BaseModel
from twinkle_worker.training.data_parallel import DataParallel
from twinkle_worker.training.errors import TrainingError
from twinkle_worker.training.sharding import ShardedLayers
from twinkle_worker.training.spec import FullSpec, LoraSpec, Outcome
from twinkle_worker.training.trainer import Trainer, TrainerOptions

CPU = torch.device("cpu")
UNEVEN = LlamaConfig(
    vocab_size=VOCABULARY,
    hidden_size=48,
    num_hidden_layers=3,
    num_attention_heads=3,
    num_key_value_heads=1,
    intermediate_size=97,
    max_position_embeddings=LENGTH,
    tie_word_embeddings=False,
    attention_bias=True,
    initializer_range=0.2,
)
HEAD_ONLY = LoraSpec(rank=2, seed=3, train_attn=False, train_mlp=False)
ROOM = 45
"""Rows that fit where a test leaves little memory."""


def sharded(peers: DataParallel, config: Any = QWEN3, **options: Any) -> Trainer:
    chosen = TrainerOptions(shard=True, **options)

    def shard(model: nn.Module) -> ShardedLayers:
        return ShardedLayers(model, peers.mesh(), CPU)

    base = BaseModel(make_model(config), "tiny", LENGTH, chosen.checkpoint_activations, shard)
    return Trainer(base, chosen, peers)


def local(weight: Any) -> int:
    return weight.to_local().numel() if hasattr(weight, "to_local") else weight.numel()


def mixture(trainer: Trainer) -> dict[str, Any]:
    """Works of all kinds at once, in shares that differ: one datum for one rank, long and short ones, only the head, no gradient."""
    for run in ("a", "b"):
        trainer.create(run, SPEC)
    trainer.create("head", HEAD_ONLY)
    works = [
        work("head", [40], salt=1),
        work("a", [3] * 9 + [60], "ppo", salt=2),
        work("b", [7], forward_only=True),
        work("none", [3]),
        work("b", [20, 20, 20], "importance_sampling", salt=4),
        work("a", [50, 2], forward_only=True, salt=5),
    ]
    answers = [
        trainer.forward_backward(works),
        trainer.forward_backward(works[:1]),
        trainer.forward_backward(works[2:3]),
    ]
    grads = {run: trainer.adapter(run).grad.clone() for run in trainer.runs}
    for run in trainer.runs:
        trainer.optim_step(run, STEP)
    weights = {run: trainer.adapter(run).flat.clone() for run in trainer.runs}
    flat = [one for some in answers for one in some]
    return {
        "answers": [replace(one, error=None) for one in flat],
        "said": said(flat),
        "grads": grads,
        "weights": weights,
    }


def said(outcomes: Sequence[Outcome]) -> list[str]:
    """Errors, in what can leave a process."""
    return ["fine" if one.error is None else str(one.error) for one in outcomes]


def all_kinds(peers: DataParallel) -> dict[str, Any]:
    """What one rank sees of models and options, each trained by both."""
    seen: dict[str, Any] = {}
    for name, config in (("tied", QWEN3), ("untied", UNEVEN)):
        trainer = sharded(peers, config)
        seen[name] = scenario(trainer)
        parameters = list(trainer.base.model.named_parameters())
        inside = [weight for name, weight in parameters if ".layers." in name]
        seen[f"{name} held"] = [sum(map(local, inside)), sum(local(weight) for _, weight in parameters)]
        seen[f"{name} all"] = [
            sum(weight.numel() for weight in inside),
            sum(weight.numel() for _, weight in parameters),
        ]
        with pytest.raises(TrainingError, match="--train-shard"):
            trainer.create_full("full", FullSpec())
    seen["checkpointed"] = scenario(sharded(peers, UNEVEN, checkpoint_activations=True))
    seen["mixture"] = mixture(sharded(peers, UNEVEN, max_tokens=41))
    for name, change in (("softcap", {}), ("mixed", {"late": True})):
        with pytest.raises(LoadError) as caught:
            refused(peers, **change)
        seen[name] = str(caught.value)
    seen["failures"] = failures(peers)
    return seen


def refused(peers: DataParallel, late: bool = False) -> None:
    """A model whose attention is not done here; and one that calls its last layer first."""
    size: dict[str, Any] = {"num_key_value_heads": 2, "head_dim": 16, "intermediate_size": 96, "num_attention_heads": 4}
    gemma = Gemma2Config(vocab_size=VOCABULARY, hidden_size=48, num_hidden_layers=2, max_position_embeddings=64, **size)
    model = make_model(UNEVEN if late else gemma)
    if late:
        first, _, last = model.model.layers
        forward = first.forward
        first.forward = lambda *args, **kwargs: forward(last(*args, **kwargs), **kwargs)
    BaseModel(model, "tiny", LENGTH, False, lambda model: ShardedLayers(model, peers.mesh(), CPU))


def failures(peers: DataParallel) -> dict[str, Any]:
    """Errors that one rank alone has, in all places; after each of them both still train the same."""
    trainer = sharded(peers, UNEVEN)
    for run in ("a", "b"):
        trainer.create(run, SPEC)
    seen: dict[str, Any] = {}
    extreme = work("a", [9, 9, 9, 9], "importance_sampling")
    extreme.datums[0].inputs["logprobs"][2] = -1e30
    seen["nan"] = said(trainer.forward_backward([extreme, work("b", [9, 9])]))
    layers = trainer.base.model.model.layers
    for name, place in (("forward", forward_fails), ("backward", backward_fails)):
        undo = place(layers[1].mlp) if peers.rank == 0 else (lambda: None)
        # 56 rows a rank do not fit into one pass, but each datum does; then neither does a datum.
        seen[f"{name} split"] = said(trainer.forward_backward([work("a", [28] * 4)]))
        seen[f"{name} alone"] = said(trainer.forward_backward([work("a", [50, 4]), work("b", [5, 5])]))
        undo()
    runner: Any = trainer._passes
    with pytest.MonkeyPatch.context() as patch:
        if peers.rank == 0:
            patch.setattr(runner, "_begin", out_of_memory)
        seen["begin"] = said(trainer.forward_backward([work("b", [5, 5])]))
    with pytest.MonkeyPatch.context() as patch:
        if peers.rank == 1:
            patch.setattr(trainer, "_prepare", out_of_memory)
        seen["prepare"] = said(trainer.forward_backward([work("b", [5, 5])]))
    seen["grads"] = {run: trainer.adapter(run).grad.clone() for run in ("a", "b")}
    return seen


def out_of_memory(*_: Any) -> None:
    raise MemoryError("none left")


def forward_fails(module: nn.Module) -> Any:
    def check(_: nn.Module, args: tuple[Tensor]) -> None:
        if args[0].shape[1] > ROOM:
            raise MemoryError("none left")

    return module.register_forward_pre_hook(check).remove


def backward_fails(module: nn.Module) -> Any:
    def check(_: nn.Module, _args: Any, output: Tensor) -> None:
        if output.requires_grad and output.shape[1] > ROOM:
            output.register_hook(out_of_memory)

    return module.register_forward_hook(check).remove


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What two ranks saw of :func:`all_kinds`."""
    return on_two_ranks(tmp_path_factory.mktemp("ranks"), all_kinds)


@pytest.mark.parametrize(("name", "config"), [("tied", QWEN3), ("untied", UNEVEN), ("checkpointed", UNEVEN)])
def test_sharded_ranks_train_as_one_does(together: list[dict[str, Any]], name: str, config: Any) -> None:
    first, second = together
    same_as_alone(first[name], second[name], scenario(make_trainer(config)))


@pytest.mark.parametrize("name", ["tied", "untied"])
def test_each_rank_holds_half_of_the_layers(together: list[dict[str, Any]], name: str) -> None:
    held = [seen[f"{name} held"] for seen in together]
    layers, all_weights = together[0][f"{name} all"]
    assert sum(inside for inside, _ in held) == layers
    assert all(abs(inside / layers - 0.5) < 0.03 for inside, _ in held)
    # What is in no layer is in both.
    assert [whole - inside for inside, whole in held] == [all_weights - layers] * 2


def test_shares_that_differ_in_passes_and_kinds(together: list[dict[str, Any]]) -> None:
    first, second = (seen["mixture"] for seen in together)
    expected = mixture(make_trainer(UNEVEN))
    assert first["said"] == second["said"] == expected["said"]
    assert expected["said"].count("fine") == 7
    alone = 0
    for one, other, wanted in zip(first["answers"], second["answers"], expected["answers"], strict=True):
        if not wanted.outputs:
            continue
        parts = [logprobs(part) for part in (one, other) if part.outputs]
        alone += len(parts) == 1
        assert torch.allclose(torch.cat(parts), logprobs(wanted), atol=1e-5)
    assert alone == 4
    for run, grad in expected["grads"].items():
        assert (first["grads"][run] + second["grads"][run] - grad).norm() < 1e-5 * grad.norm()
        assert torch.equal(first["weights"][run], second["weights"][run])
        assert torch.allclose(first["weights"][run], expected["weights"][run], atol=1e-5)


def test_models_that_cannot_be_sharded_are_refused_by_all_ranks(together: list[dict[str, Any]]) -> None:
    for seen in together:
        assert "softcap" in seen["softcap"]
        assert "once and in order" in seen["mixed"]


def test_what_fails_in_one_rank_leaves_both_in_step(together: list[dict[str, Any]]) -> None:
    first, second = errors = [seen["failures"] for seen in together]
    no_memory = "no memory for this pass: none left"
    for name in ("forward", "backward"):
        assert [seen[f"{name} split"] for seen in errors] == [["fine"], ["fine"]]
        here, there = (seen[f"{name} alone"] for seen in errors)
        assert no_memory in here[0]
        assert (here[1], there) == ("fine", ["", "fine"])
    assert [seen["nan"][1] for seen in errors] == ["fine", "fine"]
    assert ("datum 0" in errors[0]["nan"][0], errors[1]["nan"][0]) == (True, "")
    assert (no_memory in errors[0]["begin"][0], errors[1]["begin"]) == (True, [""])
    assert (errors[0]["prepare"], no_memory in errors[1]["prepare"][0]) == ([""], True)
    # What counted is what one rank computes of it, and nothing else.
    trainer = make_trainer(UNEVEN)
    for run in ("a", "b"):
        trainer.create(run, SPEC)
    good(trainer.forward_backward([work("b", [9, 9])]))
    for _ in range(2):
        good(trainer.forward_backward([work("a", [28] * 4), work("b", [5, 5])]))
    for run in ("a", "b"):
        grad = trainer.adapter(run).grad
        assert (first["grads"][run] + second["grads"][run] - grad).norm() < 1e-5 * grad.norm()
