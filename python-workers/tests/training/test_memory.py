"""What is said when a device has too little memory. There is no such device here: torch's answers are played."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from training_support import alone

from twinkle_worker.engines.base import LoadError
from twinkle_worker.engines.hf.options import parse_options
from twinkle_worker.training import loading
from twinkle_worker.training.memory import free_on, load_shortage, weights_size
from twinkle_worker.training.outcomes import translate
from twinkle_worker.training.trainer import TrainerOptions

CUDA = torch.device("cuda", 0)
GIB = 1 << 30


def test_what_is_free_is_said_of_devices_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (3 * GIB + GIB // 4, 80 * GIB))
    assert free_on(CUDA) == "3.2 of 80.0 GiB were free on cuda:0"
    assert free_on(torch.device("cpu")) is None

    def full(device: torch.device) -> tuple[int, int]:
        raise RuntimeError("CUDA error: out of memory")

    monkeypatch.setattr(torch.cuda, "mem_get_info", full)
    assert free_on(CUDA) == "nothing was free on cuda:0"


def test_weights_are_counted_as_they_are_stored(tmp_path: Path) -> None:
    assert weights_size(str(tmp_path)) is None
    for name, size in (("a.safetensors", 300), ("b.safetensors", 20), ("tokenizer.json", 7)):
        (tmp_path / name).write_bytes(bytes(size))
    assert weights_size(str(tmp_path)) == 320
    assert weights_size("org/name") is None
    assert "boom" in load_shortage("org/name", None, RuntimeError("boom"))


@pytest.mark.parametrize(
    "shortage", [torch.OutOfMemoryError("CUDA out of memory."), RuntimeError("CUDA error: out of memory")]
)
def test_a_base_model_that_does_not_fit_is_refused_with_figures_and_ways_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shortage: Exception
) -> None:
    def no_room(*args: Any, **options: Any) -> None:
        raise LoadError("the weights cannot be loaded") from shortage

    with (tmp_path / "model.safetensors").open("wb") as file:
        file.truncate(8 * GIB)  # takes no room
    monkeypatch.setattr(loading, "load_model", no_room)
    monkeypatch.setattr(loading, "pick_device", lambda name: CUDA)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (2 * GIB, 80 * GIB))
    with pytest.raises(LoadError) as caught:
        loading.open_trainer(str(tmp_path), parse_options({}), TrainerOptions(), alone(), lambda *_: None)
    said = str(caught.value)
    assert "2.0 of 80.0 GiB were free on cuda:0, and its weights alone need about 8.0 GiB" in said
    for way in ("--gpu-memory-utilization", "--sleep-while-training", "--train-gpus", "--train-shard"):
        assert way in said


def test_a_pass_out_of_memory_says_what_can_be_done() -> None:
    on_device = str(translate(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")))
    assert on_device.startswith("no memory for this pass: CUDA out of memory. Tried to allocate 2.00 GiB. Send shorter")
    assert "--sleep-while-training" in on_device
    assert str(translate(MemoryError("none left"))) == "no memory for this pass: none left; send shorter datums"
