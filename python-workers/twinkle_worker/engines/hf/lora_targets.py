"""Which layers of a model LoRA may change: linear ones that see each row of a batch by itself. A probe finds out, once per model.

What sees rows in one heap (experts, or models that flatten the batch) cannot give each row an adapter of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ..adapter_routes import AdapterRefusal
from .runner import Chunk, DecodeInput, ModelRunner
from .slot_cache import SlotCache
from .slot_store import SlotStore

_ROWS = 3


class LoraTargets:
    """The layers of one model, by name.

    device: where adapters are wanted
    """

    def __init__(
        self, model: nn.Module, layers: Mapping[str, nn.Linear], closed: Mapping[str, str], device: torch.device
    ) -> None:
        """``closed``: why a layer can have no LoRA, by its name."""
        self.device = device
        self._model = model
        self._layers = layers
        self._closed = closed
        self._parameters = dict(model.named_parameters(remove_duplicate=False))

    def layer(self, name: str) -> nn.Linear:
        """Raises AdapterRefusal for a name that is no linear layer, or one that is not served with LoRA."""
        found = self._layers.get(name)
        if found is None:
            module = dict(self._model.named_modules()).get(name)
            what = "is no layer of this model" if module is None else f"is a {type(module).__name__}, no linear layer"
            raise AdapterRefusal(
                f"the adapter has LoRA for {name}, which {what}; load it on the model that it was trained for, or merge it"
            )
        if name in self._closed:
            raise AdapterRefusal(
                f"the adapter has LoRA for {name}, which {self._closed[name]}; merge the adapter into the model"
            )
        return found

    def parameter(self, name: str) -> Tensor | None:
        """A weight of the base model."""
        return self._parameters.get(name)


def find_lora_targets(model: Any, runner: ModelRunner, device: torch.device, vocabulary: int) -> LoraTargets:
    """Run a few tokens through ``model`` and look at what its linear layers receive."""
    named = model.named_modules(remove_duplicate=False)
    layers = {name: module for name, module in named if type(module) is nn.Linear}
    names: dict[nn.Module, list[str]] = {}
    for name, module in layers.items():
        names.setdefault(module, []).append(name)
    looks = {module: _Look(_ROWS) for module in names}
    hooks = [module.register_forward_hook(look) for module, look in looks.items()]
    try:
        _probe(runner, device, vocabulary)
    finally:
        for hook in hooks:
            hook.remove()
    closed: dict[str, str] = {}
    for module, look in looks.items():
        problem = look.problem if len(names[module]) == 1 else "stands in several places of this model"
        closed |= dict.fromkeys(names[module], problem) if problem is not None else {}
    return LoraTargets(model, layers, closed, device)


class _Look:
    """A forward hook that remembers what a layer was called with."""

    def __init__(self, rows: int) -> None:
        self.problem: str | None = "this model does not call as a layer for every token"
        self._rows = rows
        self._calls = 0

    def __call__(self, module: nn.Module, given: tuple[Any, ...], output: Tensor) -> None:
        apart = len(given) == 1 and given[0].ndim >= 3 and given[0].shape[0] == self._rows and output.is_contiguous()
        self._calls += 1
        if self._calls == 1 and apart:
            self.problem = None
        elif not apart:
            self.problem = "sees the rows of a batch in one heap"


def _probe(runner: ModelRunner, device: torch.device, vocabulary: int) -> None:
    """A ragged prefill and a decode step, whose every dimension but the first differs from the number of rows."""
    tokens = [(7919 * at + 13) % vocabulary for at in range(16)]
    store = SlotStore(device)
    store.reserve(_ROWS, 16, 1 << 10)
    cache = SlotCache(store)
    runner.prefill(cache, [Chunk(tokens[:5], 0), Chunk(tokens[5:10], 0), Chunk(tokens[10:12], 0)])
    runner.decode(cache, DecodeInput(tokens[12 : 12 + _ROWS], [5, 5, 2], device))
