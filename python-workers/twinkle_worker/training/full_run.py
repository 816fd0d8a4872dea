"""A run that trains the model's own parameters: float32 masters, gradients and moments, flat. It is alone on its model while it lasts.

The parameters become the run's when it begins, and what they were when it leaves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from ..engines.hf.memory import free_memory
from .errors import MEMORY, TrainingError
from .flat_run import Claim, FlatRun
from .outcomes import is_out_of_memory
from .spec import FullSpec

BYTES = 16
"""Of each parameter: its float32 weight, gradient and two moments."""


class FullRun(FlatRun[list[Tensor]]):
    """One run. Its works must come one after another: what is computed belongs to the claim that was made last.

    names: of the parameters that are trained, in the order in which they lie in ``flat``
    """

    def __init__(self, spec: FullSpec, parameters: Mapping[str, nn.Parameter], device: torch.device) -> None:
        """``parameters``: of the model, by name. Raises TrainingError when there is no memory; the model is then as it was."""
        self.spec = spec
        self.names = tuple(parameters)
        self._parameters = tuple(parameters.values())
        self._originals: list[Tensor] = []
        self._hooks: list[Any] = []
        self._open: Claim[list[Tensor]] | None = None
        size = sum(weight.numel() for weight in self._parameters)
        # A CPU's memory is given out on first use, when it is too late to refuse.
        if device.type == "cpu" and size * BYTES > free_memory():
            raise _no_memory(size, device)
        try:
            # No method of its own: the run would hold itself, and its memory until Python looks for such cycles.
            super().__init__(torch.empty(size, device=device), partial(_views, [one.shape for one in self._parameters]))
            self.moments()
            self._gradient()
            self._take()
        except Exception as error:
            self.leave()
            if is_out_of_memory(error):
                raise _no_memory(size, device) from error
            raise

    @property
    def computes_in_float32(self) -> bool:
        """Whether the model has the very master weights."""
        return all(weight.dtype == torch.float32 for weight in self._parameters)

    def named(self, flat: Tensor) -> dict[str, Tensor]:
        """Views into ``flat`` [size] by the names of the parameters, in their shapes."""
        return dict(zip(self.names, self._views_of(flat), strict=True))

    def claim(self) -> Claim[list[Tensor]]:
        """As FlatRun's; gradients of the parameters go there from now on."""
        for weight in self._parameters:
            weight.grad = None  # of a pass that broke off
        self._open = super().claim()
        return self._open

    @torch.no_grad()
    def publish(self) -> None:
        """Give the model what ``flat`` holds, after that was changed."""
        for weight, master in zip(self._parameters, self.weights, strict=True):
            if weight.dtype != master.dtype:
                weight.copy_(master)

    def leave(self) -> None:
        """Give the model its own parameters back, bit for bit. The run is over."""
        for hook in self._hooks:
            hook.remove()
        for weight, original in zip(self._parameters, self._originals, strict=False):
            weight.grad = None
            weight.requires_grad_(False)
            weight.data = original.to(weight.device)
        self._open = None

    @torch.no_grad()
    def _take(self) -> None:
        for at, (weight, master) in enumerate(zip(self._parameters, self.weights, strict=True)):
            master.copy_(weight)
            # Off the device, where they would take room for nothing. On the CPU that is no copy.
            self._originals.append(weight.data.cpu())
            weight.data = master.to(weight.dtype)  # the very master where that is float32
            weight.requires_grad_(True)
            self._hooks.append(weight.register_post_accumulate_grad_hook(partial(self._gather, at)))

    def _gather(self, at: int, weight: Tensor) -> None:
        """Add up in float32, chunk by chunk and pass by pass, whatever autograd computes in."""
        assert self._open is not None
        assert weight.grad is not None
        self._open.views[at].add_(weight.grad)
        weight.grad = None


def _views(shapes: Sequence[torch.Size], flat: Tensor) -> list[Tensor]:
    parts = flat.split([shape.numel() for shape in shapes])
    return [part.view(shape) for part, shape in zip(parts, shapes, strict=True)]


def _no_memory(size: int, device: torch.device) -> TrainingError:
    return TrainingError(
        MEMORY,
        f"no memory on {device} to train all of the model: {size * BYTES} bytes are needed beside it, {BYTES} for each of "
        f"{size} parameters; train fewer parts (train_attn, train_mlp, train_unembed), or a LoRA",
    )
