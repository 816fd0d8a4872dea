"""One model and its LoRA layers: which there can be, what reads adapters for them, and when they take the place of linear ones. Wiring."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch

from .adapter import Adapter, Weights
from .adapter_files import read_adapter
from .lora_layer import install
from .lora_targets import LoraTargets, find_lora_targets
from .runner import ModelRunner


class ModelLora:
    """Leaves the model as it is until the first adapter comes, and then changes only layers that an adapter has LoRA for."""

    def __init__(self, model: Any, runner: ModelRunner, device: torch.device, vocabulary: int) -> None:
        self._model = model
        self._runner = runner
        self._device = device
        self._vocabulary = vocabulary
        self._targets: LoraTargets | None = None

    def reader(self, path: str) -> Callable[[], Weights]:
        """What reads the adapter in a folder, on any thread; it raises AdapterRefusal. The first call costs two small forwards."""
        if self._targets is None:
            self._targets = find_lora_targets(self._model, self._runner, self._device, self._vocabulary)
        return partial(read_adapter, path, self._targets)

    def install(self, weights: Weights) -> None:
        """Make the layers ready for an adapter, before a request has it."""
        install(self._model, weights, self._runner.lora)

    def forget(self, adapter: Adapter) -> None:
        """Its weights were replaced, or are not wanted any more: let go of what was made of them."""
        self._runner.lora.forget(adapter)
