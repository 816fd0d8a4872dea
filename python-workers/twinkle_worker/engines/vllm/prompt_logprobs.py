"""vLLM's log-probabilities of prompts, mended for adapters of the output layer: each row of logits is its own request's.

vLLM (0.26 and 0.32) maps rows to adapters for the tokens that a step samples, one a request, and then has the logits of prompts computed by
that map: on CPUs the engine ends when several requests run, on GPUs rows get the adapters of others, or none.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from vllm.lora.layers import LogitsProcessorWithLoRA

_NONE = -1
"""Slot of rows without an adapter."""


class _Rows:
    """Stands in for a PunicaWrapper while logits of known rows are computed, all at once or piece by piece."""

    def __init__(self, slots: np.ndarray) -> None:
        """slots: [rows], where each row's weights are, or _NONE."""
        self._slots, self._done = slots, 0

    def add_lora_logits(
        self, logits: torch.Tensor, x: torch.Tensor, a: torch.Tensor, b: torch.Tensor, scale: float
    ) -> torch.Tensor:
        """logits [rows, vocabulary] += x [rows, hidden] · a[slot, 0]ᵀ · b[slot, 0]ᵀ · scale, summed in float32."""
        slots = self._slots[self._done : self._done + len(x)]
        self._done += len(x)
        for slot in set(slots.tolist()) - {_NONE}:
            rows = torch.as_tensor(np.flatnonzero(slots == slot), device=x.device)
            added = (x[rows].float() @ a[slot, 0].float().T) @ b[slot, 0].float().T * scale
            width = min(added.shape[1], logits.shape[1])  # either may have padding of its own
            logits[rows, :width] += added[:, :width].to(logits.dtype)
        return logits


def mend_prompt_logprobs() -> None:
    """Mend both of vLLM's model runners, for models that are loaded from now on; any number of times."""
    from vllm.platforms import current_platform
    from vllm.v1.worker.gpu_model_runner import GPUModelRunner

    _replace(GPUModelRunner, "_get_prompt_logprobs_dict", _by_request)
    if not current_platform.is_cpu():  # these never have the second one
        from vllm.v1.worker.gpu.model_runner import GPUModelRunner as SecondRunner

        _replace(SecondRunner, "load_model", _loaded)


def _replace(owner: Any, name: str, make: Any) -> None:
    original = getattr(owner, name)
    if getattr(original, "knows_adapters", False):
        return
    replacement = make(original)
    replacement.knows_adapters = True
    setattr(owner, name, replacement)


def _by_request(original: Any) -> Any:
    """The first runner computes one request's rows after the other's."""

    def of_prompts(self: Any, hidden_states: Any, num_scheduled_tokens: Any) -> dict[str, Any]:
        wanted = self.num_prompt_logprobs
        heads = _heads(self)
        if not wanted or not heads:
            return original(self, hidden_states, num_scheduled_tokens)
        found: dict[str, Any] = {}
        try:
            for request, count in list(wanted.items()):
                adapter = self.requests[request].lora_request
                slot = _slot(self, 0 if adapter is None else adapter.lora_int_id)
                left = self.num_prompt_logprobs = {request: count}
                with _rows_of(heads, np.full(num_scheduled_tokens.get(request, 0), slot)):
                    found |= original(self, hidden_states, num_scheduled_tokens)
                if not left:  # the original strikes out what is complete
                    del wanted[request]
        finally:
            self.num_prompt_logprobs = wanted
        return found

    return of_prompts


def _loaded(original: Any) -> Any:
    """The second runner (the default for dense models on GPUs) computes all tokens of a step, piece by piece."""

    def load_model(self: Any, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        worker = getattr(self, "prompt_logprobs_worker", None)
        if worker is None or not _heads(self):
            return
        compute = worker.compute_prompt_logprobs

        def of_batch(logits_fn: Any, hidden_states: Any, batch: Any, *others: Any) -> dict[str, Any]:
            adapters = self.lora_state.lora_ids[batch.idx_mapping_np].tolist()
            slots = np.array([_slot(self, adapter) for adapter in adapters])
            with _rows_of(_heads(self), slots.repeat(batch.num_scheduled_tokens)):
                return compute(logits_fn, hidden_states, batch, *others)

        worker.compute_prompt_logprobs = of_batch

    return load_model


def _heads(runner: Any) -> list[LogitsProcessorWithLoRA]:
    manager = getattr(getattr(runner, "lora_manager", None), "_adapter_manager", None)
    modules = () if manager is None else manager.modules.values()
    return [module for module in modules if isinstance(module, LogitsProcessorWithLoRA)]


def _slot(runner: Any, adapter: int) -> int:
    # What a step has run is in a slot until the next one.
    return runner.lora_manager._adapter_manager.lora_index_to_id.index(adapter) if adapter > 0 else _NONE


@contextmanager
def _rows_of(heads: list[LogitsProcessorWithLoRA], slots: np.ndarray) -> Iterator[None]:
    before = [head.punica_wrapper for head in heads]
    for head in heads:
        rows: Any = _Rows(slots)
        head.punica_wrapper = rows
    try:
        yield
    finally:
        for head, own in zip(heads, before, strict=True):
            head.punica_wrapper = own
