"""New weights on one rank: found and looked at first, then written by vLLM's own reload. Knows nothing of requests or of other ranks."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from vllm.config import set_current_vllm_config
from vllm.model_executor.layers.vocab_parallel_embedding import ParallelLMHead
from vllm.platforms import current_platform

from ...protocol import TensorHandle
from ..base import RequestError, TensorViews
from .compat import folder_weights


@dataclass(frozen=True, slots=True)
class WeightSource:
    """Where weights are; travels to the ranks.

    folder: of a checkpoint, or a hub id whose files are here; else None
    tensors: by their names in a checkpoint, in segments that every rank has attached
    """

    folder: str | None
    tensors: tuple[tuple[str, TensorHandle], ...] = ()


class RankWeights:
    """The two steps of an update; between them all ranks have agreed that they can."""

    def __init__(self, segments: TensorViews | None, turn: Callable[[str], None]) -> None:
        """segments: what Node shares with this process; None: nothing. turn: told of each tensor, since a disk may be slow."""
        self._segments, self._turn = segments, turn
        self._found: list[tuple[str, torch.Tensor]] = []

    def find(self, _worker: Any, source: WeightSource) -> None:
        """Look at all tensors in segments. Changes nothing. Raises RequestError."""
        self._found = [(name, self._view(handle)) for name, handle in source.tensors]

    def write(self, worker: Any, source: WeightSource) -> None:
        """Replace the weights. After an exception they are of two models."""
        found, self._found = self._found, []
        weights: Iterable[tuple[str, torch.Tensor]] = found
        config = worker.vllm_config
        if source.folder is not None:
            weights = folder_weights(config, worker.model_runner.get_model(), source.folder)
        # The older of our versions leaves this to its executor.
        with set_current_vllm_config(config):
            worker.reload_weights(weights_iterator=self._telling(weights))
            _repack_output_layer(worker.model_runner.get_model())
        # What vLLM kept of the views would keep their segment from being detached.
        del weights
        found.clear()
        gc.collect()

    def _telling(self, weights: Iterable[tuple[str, torch.Tensor]]) -> Iterator[tuple[str, torch.Tensor]]:
        for pair in weights:
            self._turn("update_weights")
            yield pair

    def _view(self, handle: TensorHandle) -> torch.Tensor:
        if self._segments is None:
            raise RequestError("SEGMENT_CLOSED", f"segment {handle.segment!r} is not attached to this rank", "segment")
        view = self._segments.view(handle)
        dtype = getattr(torch, handle.dtype)
        if len(view) == 0:
            return torch.empty(handle.shape, dtype=dtype)
        return torch.frombuffer(view, dtype=dtype).view(handle.shape)


def _repack_output_layer(model: torch.nn.Module) -> None:
    """On CPUs vLLM multiplies by a packed copy of the output layer, which its reload renews only where the layer has weights of its own."""
    if not current_platform.is_cpu():
        return
    for layer in model.modules():
        if isinstance(layer, ParallelLMHead):
            layer.quant_method.process_weights_after_loading(layer)
