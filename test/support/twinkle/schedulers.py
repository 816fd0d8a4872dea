"""Learning rates of torch's schedulers, step by step, for test/fixtures/twinkle/schedulers.json: python schedulers.py > FIXTURE."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import torch
from torch.optim import lr_scheduler

BASE = 3e-4
STEPS = 40


def cosine_warmup(num_warmup_steps: int, num_training_steps: int, num_cycles: float = 0.5) -> Callable[[int], float]:
    """Factor of the client's CosineWarmupScheduler."""

    def factor(step: int) -> float:
        if step < num_warmup_steps:
            return step / max(1, num_warmup_steps)
        way = (step - num_warmup_steps) / max(1, num_training_steps - num_warmup_steps)
        return max(0.0, 0.5 + 0.5 * math.cos(2 * math.pi * num_cycles * way))

    return factor


def linear_warmup(num_warmup_steps: int, num_training_steps: int) -> Callable[[int], float]:
    """Factor of the client's LinearWarmupScheduler."""

    def factor(step: int) -> float:
        if step < num_warmup_steps:
            return step / max(1, num_warmup_steps)
        return max(0.0, (num_training_steps - step) / max(1, num_training_steps - num_warmup_steps))

    return factor


FACTORS = {"CosineWarmupScheduler": cosine_warmup, "LinearWarmupScheduler": linear_warmup}

CASES: list[tuple[str, dict[str, Any]]] = [
    ("ConstantLR", {}),
    ("ConstantLR", {"factor": 0.25, "total_iters": 7}),
    ("ConstantLR", {"factor": 0.5, "total_iters": 0}),
    ("LinearLR", {}),
    ("LinearLR", {"start_factor": 1.0, "end_factor": 0.0, "total_iters": 12}),
    ("LinearLR", {"start_factor": 0.1, "end_factor": 0.9, "total_iters": 33}),
    ("LinearLR", {"start_factor": 0.5, "total_iters": 0}),
    ("ExponentialLR", {"gamma": 0.93}),
    ("StepLR", {"step_size": 7}),
    ("StepLR", {"step_size": 3, "gamma": 0.5}),
    ("MultiStepLR", {"milestones": [3, 9, 9, 20]}),
    ("MultiStepLR", {"milestones": [0, 5], "gamma": 0.3}),
    ("PolynomialLR", {}),
    ("PolynomialLR", {"total_iters": 25, "power": 2.5}),
    ("PolynomialLR", {"total_iters": 0}),
    ("PolynomialLR", {"total_iters": 4, "power": 0.0}),
    ("CosineAnnealingLR", {"T_max": 9}),
    ("CosineAnnealingLR", {"T_max": 1}),
    ("CosineAnnealingLR", {"T_max": 100, "eta_min": 1e-5}),
    ("CosineAnnealingWarmRestarts", {"T_0": 6}),
    ("CosineAnnealingWarmRestarts", {"T_0": 3, "T_mult": 2, "eta_min": 2e-5}),
    ("CosineAnnealingWarmRestarts", {"T_0": 1, "T_mult": 3}),
    ("OneCycleLR", {"max_lr": 1e-3, "total_steps": 40, "cycle_momentum": False}),
    ("OneCycleLR", {"max_lr": 1e-3, "epochs": 7, "steps_per_epoch": 3, "cycle_momentum": False, "pct_start": 0.0}),
    (
        "OneCycleLR",
        {
            "max_lr": 2e-3,
            "total_steps": 31,
            "cycle_momentum": False,
            "pct_start": 0.4,
            "anneal_strategy": "linear",
            "three_phase": True,
            "div_factor": 10.0,
            "final_div_factor": 50.0,
        },
    ),
    ("CosineWarmupScheduler", {"num_warmup_steps": 5, "num_training_steps": 30}),
    ("CosineWarmupScheduler", {"num_warmup_steps": 0, "num_training_steps": 20, "num_cycles": 1.5}),
    ("LinearWarmupScheduler", {"num_warmup_steps": 8, "num_training_steps": 35}),
    ("LinearWarmupScheduler", {"num_warmup_steps": 0, "num_training_steps": 0}),
]


def learning_rates(name: str, kwargs: dict[str, Any]) -> list[float]:
    """What the optimizer is set to: just made, and after each step until the schedule ends."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=BASE)
    if name in FACTORS:
        scheduler = lr_scheduler.LambdaLR(optimizer, FACTORS[name](**kwargs))
    else:
        scheduler = getattr(lr_scheduler, name)(optimizer, **kwargs)
    rates = [optimizer.param_groups[0]["lr"]]
    for _ in range(STEPS):
        optimizer.step()
        try:
            scheduler.step()
        except ValueError:
            break
        rates.append(optimizer.param_groups[0]["lr"])
    return rates


def main() -> None:
    """Print the fixture."""
    cases = [{"name": name, "kwargs": kwargs, "lrs": learning_rates(name, kwargs)} for name, kwargs in CASES]
    lines = ",\n    ".join(json.dumps(case) for case in cases)
    print(f'{{\n  "torch": "{torch.__version__}",\n  "base": {BASE},\n  "cases": [\n    {lines}\n  ]\n}}')


if __name__ == "__main__":
    main()
