"""A linear layer to whose rows the adapters of a batch add what is theirs."""

from __future__ import annotations

from collections.abc import Iterable

import torch.nn.functional as F
from torch import Tensor, nn

from .lora_rows import LoraRows


class LoraLinear(nn.Linear):
    """Takes the place of a linear layer and shares its weight and bias, under the same names."""

    def __init__(self, base: nn.Linear, name: str, rows: LoraRows) -> None:
        nn.Module.__init__(self)
        self.in_features, self.out_features = base.in_features, base.out_features
        self.weight, self.bias = base.weight, base.bias
        self.train(base.training)
        self._name = name
        self._rows = rows

    def forward(self, input: Tensor) -> Tensor:
        """[rows, …, in] to [rows, …, out]."""
        output = F.linear(input, self.weight, self.bias)
        plan = self._rows.plan
        if plan is not None:
            for update in plan.updates(self._name):
                update.add(input, output)
        return output


def install(model: nn.Module, names: Iterable[str], rows: LoraRows) -> None:
    """Replace linear layers of ``model`` in place, those of ``names`` that are not yet."""
    for name in names:
        base = model.get_submodule(name)
        assert isinstance(base, nn.Linear)
        if not isinstance(base, LoraLinear):
            path, _, own = name.rpartition(".")
            setattr(model.get_submodule(path), own, LoraLinear(base, name, rows))
