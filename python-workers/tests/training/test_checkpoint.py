"""Runs on disk: they go on as if never stopped, torn ones are refused, a full disk harms nothing, and PEFT reads them."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from training_support import QWEN3, SPEC, STEP, good, logprobs, make_model, make_trainer, work

from twinkle_worker.training.errors import TrainingError
from twinkle_worker.training.peft_export import adapter_config
from twinkle_worker.training.spec import LoraSpec
from twinkle_worker.training.targets import Target
from twinkle_worker.training.trainer import Trainer

FILES = {"adapter_config.json", "adapter_model.safetensors", "manifest.json", "optimizer.safetensors"}


def train(trainer: Trainer, first: int, last: int, run: str = "run") -> None:
    for step in range(first, last):
        good(trainer.forward_backward([work(run, [9, 17], salt=step), work(run, [5], "ppo", salt=step)]))
        trainer.optim_step(run, STEP)


@pytest.fixture
def saved(trainer: Trainer, tmp_path: Path) -> Path:
    """A checkpoint after two steps of ``trainer``'s run."""
    trainer.create("run", LoraSpec(rank=4))
    train(trainer, 0, 2)
    folder = tmp_path / "two"
    trainer.snapshot("run").write(folder)
    return folder


def test_a_run_goes_on_as_if_never_stopped_bit_for_bit(trainer: Trainer, saved: Path) -> None:
    other = make_trainer()
    resumed = other.load("again", saved, optimizer=True)
    assert (resumed.spec, resumed.step) == (trainer.adapter("run").spec, 2)
    train(trainer, 2, 4)
    train(other, 2, 4, "again")
    assert torch.equal(resumed.flat, trainer.adapter("run").flat)
    assert resumed.spec.seed is not None


def test_without_the_optimizer_it_starts_with_fresh_moments(trainer: Trainer, saved: Path, tmp_path: Path) -> None:
    bare = make_trainer().load("run", saved, optimizer=False)
    assert torch.equal(bare.flat, trainer.adapter("run").flat)
    assert (bare.step, bare.exp_avg) == (0, None)
    size = trainer.snapshot("run", optimizer=False).write(tmp_path / "sampler")
    files = {path.name: path.stat().st_size for path in (tmp_path / "sampler").iterdir()}
    assert files.keys() == FILES - {"optimizer.safetensors"}
    assert size == sum(files.values())
    with pytest.raises(TrainingError, match="no optimizer state"):
        trainer.load("run", tmp_path / "sampler", optimizer=True)


def test_a_snapshot_stays_what_it_was(trainer: Trainer, saved: Path, tmp_path: Path) -> None:
    snapshot = trainer.snapshot("run")
    train(trainer, 2, 3)
    snapshot.write(tmp_path / "later")
    assert {path.name for path in saved.iterdir()} == FILES
    for name in FILES:
        assert (tmp_path / "later" / name).read_bytes() == (saved / name).read_bytes()


def test_loading_over_a_run_drops_its_gradient(trainer: Trainer, saved: Path) -> None:
    good(trainer.forward_backward([work("run", [9])]))
    trainer.load("run", saved, optimizer=True)
    assert not trainer.adapter("run").grad.any()


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
    before = trainer.adapter("run")
    with pytest.raises(TrainingError, match="the checkpoint two is damaged") as caught:
        trainer.load("run", saved, optimizer=True)
    assert (caught.value.code, caught.value.user) == ("CHECKPOINT_DAMAGED", False)
    assert trainer.adapter("run") is before


def test_what_is_not_there_or_of_another_format_is_refused(trainer: Trainer, saved: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="no checkpoint none") as caught:
        trainer.load("run", tmp_path / "none", optimizer=True)
    assert caught.value.code == "CHECKPOINT_NOT_FOUND"
    manifest = saved / "manifest.json"
    content = json.loads(manifest.read_text())
    for change in ({"format": 2}, {"step": None}, {"lora": {"rank": 4, "depth": 1}}):
        manifest.write_text(json.dumps({**content, **change}))
        with pytest.raises(TrainingError, match="damaged"):
            trainer.load("run", saved, optimizer=True)


@pytest.mark.parametrize("changes", [{"hidden_size": 32}, {"num_hidden_layers": 3}])
def test_a_checkpoint_of_another_model_is_refused(saved: Path, changes: dict[str, Any]) -> None:
    other = make_trainer(type(QWEN3)(**{**QWEN3.to_dict(), "layer_types": None, **changes}))
    with pytest.raises(TrainingError, match="another model") as caught:
        other.load("run", saved, optimizer=True)
    assert caught.value.code == "UNSUPPORTED_PARAMETER"


def test_a_full_disk_leaves_nothing_and_the_run_goes_on(
    trainer: Trainer, saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(TrainingError, match="No space left") as caught:
            trainer.snapshot("run").write(tmp_path / "full")
    assert caught.value.code == "STORAGE_FAILED"
    assert [path.name for path in tmp_path.iterdir()] == [saved.name]
    train(trainer, 2, 3)
    trainer.snapshot("run").write(tmp_path / "full")


def test_a_name_that_is_taken_is_refused(trainer: Trainer, saved: Path) -> None:
    before = {path.name: path.read_bytes() for path in saved.iterdir()}
    train(trainer, 2, 3)
    with pytest.raises(TrainingError, match="exists") as caught:
        trainer.snapshot("run").write(saved)
    assert (caught.value.code, caught.value.user) == ("CHECKPOINT_EXISTS", True)
    assert {path.name: path.read_bytes() for path in saved.iterdir()} == before


@pytest.mark.filterwarnings("ignore:Model has `tie_word_embeddings=True`", "ignore:`is_gradient_checkpointing`")
@pytest.mark.parametrize("flags", [{}, {"train_unembed": False}, {"train_attn": False, "train_unembed": False}])
def test_peft_reads_it_and_answers_the_same(trainer: Trainer, tmp_path: Path, flags: dict[str, bool]) -> None:
    trainer.create("run", LoraSpec(rank=4, seed=SPEC.seed, **flags))
    train(trainer, 0, 3)
    trainer.snapshot("run", optimizer=False).write(tmp_path / "export")
    config = json.loads((tmp_path / "export" / "adapter_config.json").read_text())
    assert all("." not in name for name in config["target_modules"])
    model = PeftModel.from_pretrained(make_model(), str(tmp_path / "export"))
    one = work("run", [20])
    ours = logprobs(good(trainer.forward_backward([one]))[0])
    ids, targets = one.datums[0].tokens.long().unsqueeze(0), one.datums[0].inputs["target_tokens"]
    with torch.no_grad():
        theirs = model(input_ids=ids).logits[0].log_softmax(-1).gather(1, targets.unsqueeze(1))[:, 0]
        plain = make_model()(input_ids=ids).logits[0].log_softmax(-1).gather(1, targets.unsqueeze(1))[:, 0]
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)
    assert (ours - plain).abs().max() > 0.1


def test_modules_whose_last_word_is_not_theirs_alone_are_named_in_full() -> None:
    known = [Target(0, "layers.0.attn.dense", "attn", (4, 4)), Target(1, "layers.0.mlp.dense", "mlp", (4, 4))]
    assert adapter_config(SPEC, known, known, "tiny")["target_modules"] == ["dense"]
    assert adapter_config(SPEC, known[:1], known, "tiny")["target_modules"] == ["layers.0.attn.dense"]
