"""Checks the name of a loss and its numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping

from .errors import INVALID, UNKNOWN, UNSUPPORTED, TrainingError
from .losses import KNOWN_ELSEWHERE, LOSSES, Loss
from .twinkle_losses import PLAIN, PREFIX, Options, twinkle_loss


def loss_config(name: str, config: Mapping[str, float | str]) -> tuple[Loss, dict[str, float], Options]:
    """The loss, its numbers with defaults filled in, and options. Raises TrainingError."""
    if name.startswith(PREFIX):
        return twinkle_loss(name, config)
    loss = LOSSES.get(name)
    if loss is None:
        names = ", ".join(LOSSES)
        if name in KNOWN_ELSEWHERE:
            raise TrainingError(UNSUPPORTED, f"the loss {name!r} is not done here; use one of {names}", "loss_fn")
        raise TrainingError(INVALID, f"expected a loss of {names} but received {name!r}", "loss_fn")
    known = loss.config or {}
    numbers: dict[str, float] = {key: value for key, value in known.items() if value is not None}
    for key, value in config.items():
        if key not in known:
            options = f"it knows {', '.join(known)}" if known else "it has none"
            raise TrainingError(UNKNOWN, f"{name} knows no option {key!r}; {options}", f"loss_fn_config.{key}")
        if isinstance(value, str | bool) or not math.isfinite(value) or value < 0:
            raise TrainingError(
                INVALID, f"expected a finite number of at least 0 but received {value!r}", f"loss_fn_config.{key}"
            )
        numbers[key] = float(value)
    for key in known.keys() - numbers.keys():
        raise TrainingError(INVALID, f"{name} needs the option {key!r}, which has no default", f"loss_fn_config.{key}")
    low, high = numbers.get("clip_low_threshold", 0.0), numbers.get("clip_high_threshold", math.inf)
    if low > high:
        raise TrainingError(INVALID, f"clip_low_threshold {low} is over clip_high_threshold {high}", "loss_fn_config")
    return loss, numbers, PLAIN
