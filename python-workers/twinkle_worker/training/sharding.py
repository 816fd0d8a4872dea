"""A frozen model whose decoder layers are spread over ranks: each holds a part of every layer, and all gather a layer while it computes.

Gathers are collective. So the plan of a pass is the same on all ranks, whatever they compute in it: see :meth:`ShardedLayers.finish`.
Embeddings, last norm and output head stay whole on every rank: the head is needed when a pass takes the most memory anyway.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import fully_shard

from ..engines.base import LoadError

log = logging.getLogger(__name__)


class _Holder(nn.Module):
    """What FSDP knows of a layer. Nobody calls it, so FSDP's hooks never run: they gather as autograd happens to go, by rank."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer


class ShardedLayers:
    """The decoder layers of a model. Making one is collective, and changes the model in place.

    layers: as they stand in the model
    """

    def __init__(self, model: nn.Module, mesh: DeviceMesh, device: torch.device) -> None:
        """``model``: on the CPU; parts of its layers and all else of it go to ``device``. Raises LoadError where it cannot be split."""
        self.layers = _decoder_layers(model)
        kind = type(model).__name__
        _check_apart(kind, model, self.layers)
        self._shards: list[Any] = []
        for at, layer in enumerate(self.layers):
            try:
                # A whole layer is on the device for as long as this takes.
                self._shards.append(fully_shard(_Holder(layer), mesh=mesh, reshard_after_forward=True))
            except Exception as error:
                raise LoadError(f"{kind} cannot be sharded: layer {at}: {type(error).__name__}: {error}") from error
            layer.register_forward_pre_hook(partial(self._before, at))
            layer.register_forward_hook(partial(self._after, at))
        _move_rest(model, self.layers, device)
        weights = [weight for shard in self._shards for weight in shard.parameters()]
        whole, here = sum(one.numel() for one in weights), sum(one.to_local().numel() for one in weights)
        size = f"{len(self.layers)} layers are spread over {mesh.size()} ranks"
        log.info("%s: %d of %d parameters here", size, here, whole)
        self._plan: Sequence[int] = ()
        self._at = -1
        self._asked = 0
        self._gathers: dict[int, Any] = {}

    @contextmanager
    def pass_forward(self) -> Iterator[None]:
        """One pass without backward. All ranks must make it."""
        self.begin(False)
        try:
            yield
        finally:
            self.finish()

    def begin(self, backward: bool) -> None:
        """Open a pass: every layer is gathered once, and with ``backward`` once more on the way back. All ranks must open the same."""
        there = range(len(self.layers))
        self._plan = (*there, *reversed(there)) if backward else there
        self._at, self._asked = -1, 0

    def finish(self) -> None:
        """Close the pass, wherever it stands: take part in all gathers that it did not come to, since others may. All ranks must call it.

        Ends the process where that fails: the other ranks would wait for ever, and are ended with this one.
        """
        try:
            while self._at + 1 < len(self._plan):
                self._advance()
            if self._plan:
                self._shards[self._plan[-1]].reshard()
        except Exception as error:
            log.critical("this rank cannot take part in a gather of weights", exc_info=error)
            raise SystemExit(1) from error
        self._plan = ()

    def _before(self, layer: int, *_: Any) -> None:
        self._enter(layer)

    def _after(self, layer: int, _module: nn.Module, _args: Any, output: Any) -> None:
        hidden = output[0] if isinstance(output, tuple) else output
        if isinstance(hidden, Tensor) and hidden.requires_grad:
            # Runs when all above has gone back, and before anything of this layer does.
            hidden.register_hook(partial(self._back, layer))

    def _back(self, layer: int, _grad: Tensor) -> None:
        self._enter(layer)

    def _enter(self, layer: int) -> None:
        at = self._at + 1
        if at >= len(self._plan) or self._plan[at] != layer:
            raise RuntimeError(
                f"layer {layer} was called out of turn: this model does not run its layers once and in order"
            )
        self._advance()

    def _advance(self) -> None:
        """Go on to the next step of the plan. Where it raises, it can be called again: what was asked for is not asked for twice."""
        plan, at = self._plan, self._at + 1
        if at > 0 and plan[at - 1] != plan[at]:
            self._shards[plan[at - 1]].reshard()
        self._ask(at)
        gather = self._gathers.get(at)
        if gather is not None:
            gather.wait()
            del self._gathers[at]
        self._at = at
        # The next one comes over the link while this one computes.
        self._ask(at + 1)

    def _ask(self, step: int) -> None:
        plan = self._plan
        if step != self._asked or step == len(plan):
            return
        # At the turn the last layer is still there.
        if step == 0 or plan[step] != plan[step - 1]:
            self._gathers[step] = self._shards[plan[step]].unshard(async_op=True)
        self._asked += 1


def _decoder_layers(model: nn.Module) -> nn.ModuleList:
    """The ModuleList with the most weights: which modules attend, the first pass tells, and it needs its layers. Raises LoadError."""
    lists = [module for module in model.modules() if isinstance(module, nn.ModuleList)]
    if not lists:
        raise LoadError(f"{type(model).__name__} keeps its decoder layers in no ModuleList, so it cannot be sharded")
    return max(lists, key=lambda one: sum(weight.numel() for weight in one.parameters()))


def _check_apart(kind: str, model: nn.Module, layers: nn.ModuleList) -> None:
    """Raise LoadError for weights that belong to two layers, or to a layer and to what is around them."""
    owners = {id(weight): at for at, layer in enumerate(layers) for weight in layer.parameters()}
    inside = {id(module) for module in layers.modules()}
    total = sum(len(list(layer.parameters())) for layer in layers)
    around = (weight for module in model.modules() if id(module) not in inside for weight in module.parameters(False))
    if len(owners) < total or any(id(weight) in owners for weight in around):
        raise LoadError(
            f"{kind} shares weights between its decoder layers, or with what is around them, so it cannot be sharded"
        )


def _move_rest(model: nn.Module, layers: nn.ModuleList, device: torch.device) -> None:
    """Move all that is in no layer."""
    inside = {id(module) for module in layers.modules()}
    for module in model.modules():
        if id(module) not in inside:
            for tensor in (*module.parameters(recurse=False), *module.buffers(recurse=False)):
                tensor.data = tensor.data.to(device)
