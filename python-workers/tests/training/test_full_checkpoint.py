"""Full runs on disk: they go on as if never stopped, transformers loads them, and what is torn or of another model is refused."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from full_support import ALL, CONFIGS, full, same, tiny, trainer_of, values
from safetensors import safe_open
from training_support import QWEN3, SPEC, STEP, good, logprobs, make_trainer, work
from transformers import AutoModelForCausalLM, Qwen3MoeConfig

from twinkle_worker.training.errors import TrainingError
from twinkle_worker.training.spec import FullSpec
from twinkle_worker.training.trainer import Trainer

FILES = {
    "config.json",
    "generation_config.json",
    "manifest.json",
    "model.safetensors",
    "optimizer.safetensors",
    "tokenizer.json",
}


def train(trainer: Trainer, first: int, last: int, run: str = "run") -> None:
    for step in range(first, last):
        good(trainer.forward_backward([work(run, [9, 17], salt=step), work(run, [5], "ppo", salt=step)]))
        trainer.optim_step(run, STEP)


@pytest.fixture
def trainer(tmp_path: Path) -> Trainer:
    """Of a model that lies in a folder; with a full run."""
    made = trainer_of(tmp_path / "base", tiny("tied"))
    made.create_full("run", ALL)
    return made


@pytest.fixture
def saved(trainer: Trainer, tmp_path: Path) -> Path:
    """A checkpoint after two steps of ``trainer``'s run."""
    train(trainer, 0, 2)
    folder = tmp_path / "two"
    size = trainer.snapshot("run").write(folder)
    assert size == sum(file.stat().st_size for file in folder.iterdir())
    return folder


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("kind", CONFIGS)
def test_a_run_goes_on_as_if_never_stopped_bit_for_bit(tmp_path: Path, kind: str, dtype: torch.dtype) -> None:
    trainer = trainer_of(tmp_path / "base", tiny(kind, dtype))
    run = trainer.create_full("run", ALL)
    train(trainer, 0, 2)
    trainer.snapshot("run").write(tmp_path / "two")
    more = set() if dtype == torch.float32 else {"master.safetensors"}
    assert {file.name for file in (tmp_path / "two").iterdir()} == FILES | more
    train(trainer, 2, 4)
    other = trainer_of(tmp_path / "other", tiny(kind, dtype))
    other.load("again", tmp_path / "two", optimizer=True)
    train(other, 2, 4, "again")
    assert torch.equal(full(other, "again").flat, run.flat)
    assert same(values(other.base.model), values(trainer.base.model))
    # In place: what was done since is gone, a gradient without its step too.
    good(trainer.forward_backward([work("run", [9])]))
    assert trainer.load("run", tmp_path / "two", optimizer=True) is run
    assert (run.step, run.grad.any()) == (2, False)
    train(trainer, 2, 4)
    assert torch.equal(full(other, "again").flat, run.flat)


def test_without_the_optimizer_it_starts_with_fresh_moments(trainer: Trainer, saved: Path, tmp_path: Path) -> None:
    run = full(trainer)
    before = run.flat.clone()
    train(trainer, 2, 3)
    trainer.load("run", saved, optimizer=False)
    assert torch.equal(run.flat, before)
    assert (run.step, [moment.any() for moment in run.moments()]) == (0, [False, False])
    trainer.snapshot("run", optimizer=False).write(tmp_path / "external")
    assert {file.name for file in (tmp_path / "external").iterdir()} == FILES - {"optimizer.safetensors"}
    with pytest.raises(TrainingError, match="no optimizer state"):
        trainer.load("run", tmp_path / "external", optimizer=True)
    trainer.load("run", tmp_path / "external", optimizer=False)
    assert torch.equal(run.flat, before)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("kind", CONFIGS)
def test_transformers_loads_it_and_answers_the_same(tmp_path: Path, kind: str, dtype: torch.dtype) -> None:
    trainer = trainer_of(tmp_path / "base", tiny(kind, dtype))
    config = json.loads((tmp_path / "base" / "config.json").read_text())
    (tmp_path / "base" / "config.json").write_text(json.dumps({**config, "dtype": "float16", "of its own": 1}))
    run = trainer.create_full("run", ALL)
    train(trainer, 0, 3)
    trainer.snapshot("run", optimizer=False).write(tmp_path / "out")
    written = json.loads((tmp_path / "out" / "config.json").read_text())
    assert (written["dtype"], written["of its own"]) == (str(dtype).removeprefix("torch."), 1)
    with safe_open(tmp_path / "out" / "model.safetensors", "pt") as file:
        assert {file.get_tensor(name).dtype for name in file.keys()} == {dtype}  # noqa: SIM118
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    assert same(values(model), values(trainer.base.model))
    one = work("run", [20], forward_only=True)
    ours = logprobs(good(trainer.forward_backward([one]))[0])
    ids, targets = one.datums[0].tokens.long().unsqueeze(0), one.datums[0].inputs["target_tokens"]
    with torch.no_grad():
        theirs = model(input_ids=ids).logits[0].float().log_softmax(-1).gather(1, targets.unsqueeze(1))[:, 0]
    close = 1e-5 if dtype == torch.float32 else 0.1
    torch.testing.assert_close(ours, theirs, atol=close, rtol=close)
    # As weights to begin from: the parameters as they were written.
    other = trainer_of(tmp_path / "other", tiny(kind, dtype))
    other.load("run", tmp_path / "out", optimizer=False)
    assert torch.equal(full(other).flat, run.flat.to(dtype).float())


def test_experts_that_are_written_one_by_one_go_on_too(tmp_path: Path) -> None:
    sizes = {"vocab_size": 96, "hidden_size": 48, "num_hidden_layers": 1, "num_attention_heads": 4}
    experts = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32, "initializer_range": 0.2}
    ids = {"bos_token_id": None, "eos_token_id": None, "pad_token_id": None, "max_position_embeddings": 64}
    config = Qwen3MoeConfig(**sizes, **experts, **ids, num_key_value_heads=2, head_dim=16)
    trainer = make_trainer(config)
    run = trainer.create_full("run", ALL)
    train(trainer, 0, 2)
    trainer.snapshot("run").write(tmp_path / "two")
    train(trainer, 2, 3)
    other = make_trainer(config)
    other.load("run", tmp_path / "two", optimizer=True)
    train(other, 2, 3)
    assert torch.equal(full(other).flat, run.flat)
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "two")
    other.load("run", tmp_path / "two", optimizer=False)
    assert same(values(model), values(other.base.model))


def test_weights_in_several_files_go_on_too(trainer: Trainer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("twinkle_worker.training.model_folder._SHARD", "20KB")
    train(trainer, 0, 2)
    trainer.snapshot("run").write(tmp_path / "two")
    names = {file.name for file in (tmp_path / "two").iterdir()}
    assert len([name for name in names if name.startswith("model-0000")]) > 2
    before = full(trainer).flat.clone()
    train(trainer, 2, 3)
    trainer.load("run", tmp_path / "two", optimizer=True)
    assert torch.equal(full(trainer).flat, before)
    assert same(values(AutoModelForCausalLM.from_pretrained(tmp_path / "two")), values(trainer.base.model))


def test_a_part_goes_on_as_that_part(tmp_path: Path) -> None:
    trainer, other = make_trainer(), make_trainer()
    spec = FullSpec(train_mlp=False, train_unembed=False)
    run = trainer.create_full("run", spec)
    train(trainer, 0, 2)
    trainer.snapshot("run").write(tmp_path / "two")
    other.load("run", tmp_path / "two", optimizer=True)
    assert full(other).spec == spec
    train(trainer, 2, 3)
    train(other, 2, 3)
    assert torch.equal(full(other).flat, run.flat)
    trainer.drop("run")
    trainer.create_full("run", ALL)
    with pytest.raises(TrainingError, match="other parts"):
        trainer.load("run", tmp_path / "two", optimizer=True)


@pytest.mark.parametrize("name", sorted(FILES))
@pytest.mark.parametrize("harm", ["missing", "short", "flipped"])
def test_a_torn_checkpoint_is_refused_and_the_run_stays(trainer: Trainer, saved: Path, name: str, harm: str) -> None:
    path = saved / name
    content = bytearray(path.read_bytes())
    if harm == "missing":
        path.unlink()
    else:
        content[len(content) // 2] ^= 0xFF
        path.write_bytes(content if harm == "flipped" else content[: len(content) // 2])
    train(trainer, 2, 3)
    before = values(trainer.base.model)
    with pytest.raises(TrainingError, match="the checkpoint two is damaged") as caught:
        trainer.load("run", saved, optimizer=True)
    assert (caught.value.code, full(trainer).step) == ("CHECKPOINT_DAMAGED", 3)
    assert same(values(trainer.base.model), before)


def test_a_disk_that_fails_half_way_ends_the_run_and_not_the_base(
    trainer: Trainer, saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    trainer.drop("run")
    before = values(trainer.base.model)
    monkeypatch.setattr("twinkle_worker.training.full_checkpoint.safe_open", fail)
    with pytest.raises(TrainingError, match="cannot be read"):
        trainer.load("run", saved, optimizer=True)
    assert trainer.runs == {}
    assert same(values(trainer.base.model), before)


@pytest.mark.parametrize("changes", [{"hidden_size": 32}, {"num_hidden_layers": 3}])
def test_a_checkpoint_of_another_model_is_refused(saved: Path, changes: dict[str, Any]) -> None:
    other = make_trainer(type(QWEN3)(**{**QWEN3.to_dict(), "layer_types": None, **changes}))
    with pytest.raises(TrainingError, match="another model") as caught:
        other.load("run", saved, optimizer=True)
    assert (caught.value.code, other.runs) == ("UNSUPPORTED_PARAMETER", {})


def test_it_comes_back_only_when_it_is_alone(trainer: Trainer, saved: Path, tmp_path: Path) -> None:
    lora = make_trainer()
    lora.create("lora", SPEC)
    with pytest.raises(TrainingError, match="alone"):
        lora.load("run", saved, optimizer=True)
    lora.snapshot("lora").write(tmp_path / "adapter")
    with pytest.raises(TrainingError, match="alone"):
        trainer.load("lora", tmp_path / "adapter", optimizer=True)


@pytest.mark.parametrize("where", ["weights", "sync"])
def test_a_full_disk_leaves_nothing_and_the_run_goes_on(
    trainer: Trainer, saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    def full_disk(*_: Any, **__: Any) -> None:
        if where == "sync":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        from safetensors import SafetensorError

        raise SafetensorError("No space left on device (os error 28)")

    before = {path.name for path in tmp_path.iterdir()}
    with monkeypatch.context() as patch:
        if where == "sync":
            patch.setattr(os, "fsync", full_disk)
        else:
            patch.setattr(type(trainer.base.model), "save_pretrained", full_disk)
        with pytest.raises(TrainingError, match="No space left") as caught:
            trainer.snapshot("run").write(tmp_path / "full")
    assert caught.value.code == "STORAGE_FAILED"
    assert {path.name for path in tmp_path.iterdir()} == before
    train(trainer, 2, 3)
    trainer.snapshot("run").write(tmp_path / "full")
    with pytest.raises(TrainingError, match="exists"):
        trainer.snapshot("run").write(saved)
