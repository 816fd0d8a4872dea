"""What a run's LoRA may be besides its rank: its scale, its start, where it is; and what of that PEFT reads in an export."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from training_support import QWEN3, SPEC, STEP, Reference, good, logprobs, make_model, make_trainer, work
from transformers import Qwen3MoeConfig

from twinkle_worker.engines.hf.adapter_config import parse_config
from twinkle_worker.training.adapter import Adapter
from twinkle_worker.training.errors import TrainingError
from twinkle_worker.training.spec import LoraSpec
from twinkle_worker.training.trainer import Trainer

QV = ("q_proj", "v_proj")
SPECS = {
    "alpha": replace(SPEC, alpha=7.5),
    "rslora": replace(SPEC, alpha=6.0, rslora=True),
    "gaussian": replace(SPEC, init="gaussian"),
    "targets": replace(SPEC, targets=QV),
    "one layer": replace(SPEC, targets=("layers.1.mlp.up_proj", "lm_head")),
    "all": LoraSpec(rank=4, seed=5, alpha=6.0, dropout=0.3, targets=QV, rslora=True, init="gaussian"),
}


@pytest.mark.filterwarnings("ignore:Model has `tie_word_embeddings=True`", "ignore:`is_gradient_checkpointing`")
@pytest.mark.parametrize("name", SPECS)
def test_peft_reads_it_and_answers_the_same(trainer: Trainer, tmp_path: Path, name: str) -> None:
    spec = SPECS[name]
    trainer.create("run", spec)
    one = work("run", [20])
    for _ in range(3):
        good(trainer.forward_backward([one]))
        trainer.optim_step("run", STEP)
    trainer.snapshot("run").write(tmp_path / "export")
    text = (tmp_path / "export" / "adapter_config.json").read_bytes()
    config = json.loads(text)
    said = (config["lora_alpha"], config["use_rslora"], config["lora_dropout"])
    assert said == (spec.alpha, spec.rslora, spec.dropout)
    assert parse_config(text).scale_of("q_proj") == spec.scale
    ids, targets = one.datums[0].tokens.long().unsqueeze(0), one.datums[0].inputs["target_tokens"]
    (ours,) = good(trainer.forward_backward([replace(one, forward_only=True)]))
    model = PeftModel.from_pretrained(make_model(), str(tmp_path / "export")).eval()
    layers: list[Any] = [module for module in model.modules() if hasattr(module, "lora_A")]
    assert {layer.scaling["default"] for layer in layers} == {spec.scale}
    with torch.no_grad():
        theirs = model(input_ids=ids).logits[0].log_softmax(-1).gather(1, targets.unsqueeze(1))[:, 0]
        plain = make_model()(input_ids=ids).logits[0].log_softmax(-1).gather(1, targets.unsqueeze(1))[:, 0]
    torch.testing.assert_close(logprobs(ours), theirs, atol=1e-5, rtol=1e-5)
    assert (theirs - plain).abs().max() > 0.05
    again = make_trainer().load("other", tmp_path / "export", optimizer=True)
    assert again.spec == spec
    assert torch.equal(again.flat, trainer.adapter("run").flat)


@pytest.mark.parametrize("name", ["alpha", "rslora", "targets", "one layer"])
def test_gradients_are_those_of_peft(trainer: Trainer, name: str) -> None:
    adapter = trainer.create("run", SPECS[name])
    with torch.no_grad():
        adapter.flat.add_(torch.randn(adapter.flat.shape, generator=torch.Generator().manual_seed(1)), alpha=0.1)
    reference = Reference(trainer, adapter)
    batch = [work("run", [9, 17])]
    good(trainer.forward_backward(batch))
    reference.backward(batch)
    torch.testing.assert_close(adapter.grad, reference.flat_grad(), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("words", [QV, ("self_attn.q_proj",), ("model.layers.0.mlp.up_proj",), ("lm_head", "up_proj")])
def test_targets_are_those_that_peft_takes(trainer: Trainer, words: tuple[str, ...]) -> None:
    layout = trainer.create("run", replace(SPEC, targets=words)).layout
    theirs: Any = get_peft_model(make_model(), LoraConfig(r=4, target_modules=list(words)))
    names = [name for name, module in theirs.named_modules() if hasattr(module, "lora_A")]
    assert [f"base_model.model.{target.name}" for target in layout.targets] == names


@pytest.mark.parametrize("words", [("c_attn",), ("q_proj", "proj"), ("q_proj", "self_attn"), ("",), ()])
def test_targets_that_there_are_not_are_refused_by_name(trainer: Trainer, words: tuple[str, ...]) -> None:
    with pytest.raises(TrainingError) as caught:
        trainer.create("run", replace(SPEC, targets=words))
    assert (caught.value.code, caught.value.param) == ("INVALID_REQUEST", "lora_config.targets")
    assert (repr(words[-1]) if words else "received none") in str(caught.value)
    assert "there is down_proj, gate_proj, k_proj, lm_head, o_proj, q_proj, up_proj, v_proj" in str(caught.value)
    assert "run" not in trainer.runs


def test_a_model_with_parts_that_cannot_be_trained_says_so() -> None:
    config = Qwen3MoeConfig(
        **{key: getattr(QWEN3, key) for key in ("vocab_size", "hidden_size", "num_hidden_layers", "head_dim")},
        num_attention_heads=4,
        num_key_value_heads=2,
        num_experts=4,
        num_experts_per_tok=2,
        moe_intermediate_size=32,
        intermediate_size=96,
        max_position_embeddings=64,
    )
    trainer = make_trainer(config)
    assert len(trainer.create("run", replace(SPEC, targets=QV)).layout.targets) == 4
    with pytest.raises(TrainingError, match=r"mlp layers cannot be trained: .*experts"):
        trainer.create("other", replace(SPEC, targets=("gate",)))


def test_the_start_is_as_peft_has_it(trainer: Trainer) -> None:
    one, same, other = (
        trainer.create(name, LoraSpec(rank=8, seed=seed, init="gaussian"))
        for name, seed in (("a", 1), ("b", 1), ("c", 2))
    )
    assert torch.equal(one.flat, same.flat)
    assert not torch.equal(one.flat, other.flat)
    numbers = torch.cat([a.flatten() for a, _ in one.weights.values()])
    assert numbers.std().item() == pytest.approx(1 / 8, rel=0.03)
    assert numbers.abs().max() > 3 / 8
    assert not any(b.any() for _, b in one.weights.values())


@pytest.mark.parametrize(
    ("changes", "param"),
    [
        ({"dropout": 1.0}, "dropout"),
        ({"dropout": -0.1}, "dropout"),
        ({"dropout": float("nan")}, "dropout"),
        ({"init": "pissa"}, "init"),
        ({"alpha": 0.0}, "alpha"),
    ],
)
def test_values_out_of_range_are_refused(trainer: Trainer, changes: dict[str, Any], param: str) -> None:
    with pytest.raises(TrainingError) as caught:
        trainer.create("run", replace(SPEC, **changes))
    assert caught.value.param == f"lora_config.{param}"


def test_checkpoints_from_before_these_options_still_load(trainer: Trainer, tmp_path: Path) -> None:
    adapter = trainer.create("run", SPEC)
    good(trainer.forward_backward([work("run", [9, 17])]))
    trainer.optim_step("run", STEP)
    trainer.snapshot("run").write(tmp_path / "one")
    manifest = tmp_path / "one" / "manifest.json"
    content = json.loads(manifest.read_text())
    for name in ("dropout", "targets", "rslora", "init"):
        del content["lora"][name]
    del content["optimizer"]
    manifest.write_text(json.dumps(content))
    loaded = make_trainer().load("run", tmp_path / "one", optimizer=True)
    assert isinstance(loaded, Adapter)
    assert (loaded.spec, loaded.step, loaded.scale) == (adapter.spec, 1, 8.0)
    assert torch.equal(loaded.flat, adapter.flat)
