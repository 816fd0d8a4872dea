"""What twinkle-kit's metrics say of made-up passes, for test/fixtures/twinkle/metrics.json.

PYTHONPATH=<folder of twinkle-kit> python metrics.py > FIXTURE. The tests need neither.
"""

from __future__ import annotations

import importlib
import json
import random
import time
from typing import Any
from unittest.mock import patch

import torch
from peer import use_stand_ins

use_stand_ins()
metric = importlib.import_module("twinkle.metric")

IGNORED = -100
START = 1_000.0
chance = random.Random(11)

Pass = dict[str, Any]


def numbers(count: int, low: float = -4.0, high: float = 0.0) -> list[float]:
    """Such that they are the same as float32."""
    return [round(chance.uniform(low, high) * 1024) / 1024 for _ in range(count)]


def texts(count: int = 4) -> Pass:
    """A pass of sequences of which some tokens count."""
    sizes = [chance.randint(4, 9) for _ in range(count)]
    labels = [[IGNORED, IGNORED] + [chance.randint(1, 99) for _ in range(size - 2)] for size in sizes]
    return {
        "labels": labels,
        "logps": [numbers(size) for size in sizes],
        "loss": numbers(1, 0.1, 3.0)[0],
        "tokens": sum(size - 2 for size in sizes),
    }


def policy() -> Pass:
    """With an old policy that is not far away, advantages and entropies."""
    made = texts()
    # Only of tokens that count: the class takes those from the beginning.
    made["old_logps"] = [[logp + numbers(1, -0.6, 0.6)[0] for logp in logps[2:]] for logps in made["logps"]]
    made["advantages"] = numbers(4, -2.0, 2.0)
    made["entropies"] = [numbers(len(labels), 0.0, 3.0) for labels in made["labels"]]
    return made


def pairs() -> Pass:
    """With a reference."""
    made = texts()
    made["ref_logps"] = [numbers(len(labels)) for labels in made["labels"]]
    return made


def sentences() -> Pass:
    """Embeddings of anchors, each with a positive, and the last with a negative, too."""
    vectors = torch.nn.functional.normalize(torch.tensor([numbers(6, -1.0, 1.0) for _ in range(7)]), dim=-1)
    return {"anchors": [1, 0, 1, 0, 1, 0, 0], "embeddings": vectors.tolist(), "loss": numbers(1, 0.1, 3.0)[0]}


def padded(rows: list[list[Any]], fill: float) -> torch.Tensor:
    """As one tensor, filled up on the right."""
    longest = max(map(len, rows))
    return torch.tensor([row + [fill] * (longest - len(row)) for row in rows])


def see(one: Any, made: Pass, moment: dict[str, Any], reduction: str) -> None:
    """Show a pass to a metric."""
    outputs: dict[str, Any] = {"loss": torch.tensor(made["loss"]), "num_tokens": made.get("tokens", 0)}
    given: dict[str, Any] = {key: made[key] for key in ("old_logps", "advantages") if key in made}
    if "labels" in made:
        inputs = {"labels": padded(made["labels"], IGNORED)}
        outputs["logps"] = padded(made["logps"], 0.0)
    else:
        inputs = {"labels": torch.tensor(made["anchors"])}
        outputs["embeddings"] = torch.tensor(made["embeddings"])
    if "entropies" in made:
        outputs["entropies"] = padded(made["entropies"], 0.0)
    if "ref_logps" in made:
        given["ref_outputs"] = {"logps": padded(made["ref_logps"], 0.0)}
    one.accumulate(
        inputs,
        outputs,
        lr=moment["lrs"],
        step=moment["passes"] - 1,
        gradient_accumulation_steps=moment["accumulation"],
        grad_norm=moment["gradNorm"],
        loss_reduction=reduction,
        **given,
    )


def moment(passes: int, accumulation: int = 1, grad_norm: float = 0.0, lrs: tuple[float, ...] = (1e-4, 1e-4)) -> Any:
    """How far the training is."""
    return {"passes": passes, "accumulation": accumulation, "gradNorm": grad_norm, "lrs": list(lrs)}


def case(
    name: str, kwargs: dict[str, Any], rounds: list[tuple[list[Pass], Any, float]], reduction: str = "mean"
) -> Any:
    """Rounds of passes, each with the moment and the seconds since the start at which the metric is asked."""
    with patch.object(time, "time", lambda: START):
        one = getattr(metric, name)(device_mesh=None, process_group=None, **kwargs)
    said = []
    for passes, now, seconds in rounds:
        with patch.object(time, "time", lambda at=seconds: START + at):
            for made in passes:
                see(one, made, now, reduction)
            values = one.calculate()
        said.append({"passes": passes, "moment": now, "seconds": seconds, "values": values})
    return {"name": name, "kwargs": kwargs, "reduction": reduction, "rounds": said}


def main() -> None:
    """Print the fixture."""
    far = moment(4, grad_norm=1.25)
    cases = [
        case("LossMetric", {}, [([texts(), texts()], moment(2), 1.0), ([texts()], far, 2.0), ([], far, 3.0)]),
        case("LossMetric", {}, [([texts(), texts()], far, 1.0)], "sum"),
        case(
            "TrainMetric",
            {},
            [
                ([], moment(0), 0.5),
                ([texts()], moment(8, 2, lrs=(3e-5,)), 4.0),
                ([texts()], moment(21, 2), 30.0),
                ([], moment(30), 95.5),
                ([texts()], moment(40, 4, lrs=(2.0**-11, 0.0)), 100.0),
            ],
        ),
        case("DPOMetric", {}, [([pairs(), pairs()], far, 1.0), ([texts(2)], far, 2.0), ([], far, 3.0)]),
        case("DPOMetric", {"beta": 0.5}, [([pairs()], far, 1.0)]),
        *(
            case(name, {"epsilon": 0.1, "epsilon_high": 0.3}, [([policy(), policy()], far, 1.0), ([texts()], far, 2.0)])
            for name in ("GRPOMetric", "PPOMetric", "GSPOMetric", "CISPOMetric")
        ),
        case("GRPOMetric", {"temperature": 0.7, "top_k_kl": 2}, [([policy(), policy()], far, 1.0), ([], far, 2.0)]),
        case("EmbeddingMetric", {}, [([sentences(), sentences()], far, 1.0), ([], far, 2.0)]),
    ]
    lines = ",\n  ".join(json.dumps(one) for one in cases)
    print(f"[\n  {lines}\n]")


if __name__ == "__main__":
    main()
