"""Which device a rank takes: its own, also where no mask hides the others. What torch says of CUDA is played."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from twinkle_worker.engines.base import LoadError
from twinkle_worker.engines.hf.loading import pick_device

UUIDS = ["aaaa-0", "bbbb-1", "cccc-2"]


@pytest.fixture
def three_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: len(UUIDS))
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda index: SimpleNamespace(uuid=UUIDS[index]))
    monkeypatch.delenv("TWINKLE_DEVICE_IDS", raising=False)


@pytest.mark.usefixtures("three_devices")
@pytest.mark.parametrize("name", ["auto", "cuda"])
def test_takes_the_device_that_it_was_given(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TWINKLE_DEVICE_IDS", "GPU-BBBB-1")
    assert pick_device(name) == torch.device("cuda", 1)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)  # masked: the one that is left is its own
    assert pick_device(name) == torch.device("cuda", 0)


@pytest.mark.usefixtures("three_devices")
def test_refuses_another_than_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TWINKLE_DEVICE_IDS", "GPU-dddd-3")
    with pytest.raises(LoadError, match="torch sees 3 CUDA devices but not GPU-dddd-3"):
        pick_device("auto")


@pytest.mark.usefixtures("three_devices")
def test_a_rank_without_devices_stays_on_the_cpu_unless_it_is_told_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    assert pick_device("auto") == torch.device("cuda", 0)
    monkeypatch.setenv("TWINKLE_DEVICE_IDS", "")
    assert pick_device("auto") == torch.device("cpu")
    assert pick_device("cuda:2") == torch.device("cuda", 2)
