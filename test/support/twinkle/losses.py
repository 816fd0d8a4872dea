"""What twinkle-kit's loss classes multiply the losses of tokens by, and where they put what clients send for tokens.

For test/fixtures/twinkle/losses.json: PYTHONPATH=<folder of twinkle-kit> python losses.py > FIXTURE. The tests need neither.
"""

from __future__ import annotations

import importlib
import json
import random
from typing import Any

import torch
from peer import use_stand_ins

use_stand_ins()
loss = importlib.import_module("twinkle.loss")

IGNORED = -100
chance = random.Random(7)

LABELS = [
    [IGNORED, IGNORED, 4, 5, 6, IGNORED],
    [IGNORED, 7, 8],
    [IGNORED, IGNORED, IGNORED, IGNORED],
    [IGNORED, 9, IGNORED, 3, 2],
]

LOSSES: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("CrossEntropyLoss", {}, {}),
    ("CrossEntropyLoss", {"reduction": "sum"}, {}),
    ("ChunkedCrossEntropyLoss", {"chunk_size": 2}, {}),
    ("ChunkedCrossEntropyLoss", {"chunk_size": 2, "reduction": "sum"}, {}),
    ("GRPOLoss", {}, {}),
    ("GSPOLoss", {}, {}),
    ("SAPOLoss", {}, {}),
    ("PPOLoss", {}, {}),
    ("PPOLoss", {"loss_agg_mode": "seq-mean-token-mean"}, {}),
    ("BNPOLoss", {}, {}),
    ("DRGRPOLoss", {"max_completion_length": 48}, {}),
    ("CISPOLoss", {}, {}),
    ("CISPOLoss", {}, {"num_items_in_batch": 31}),
]


def padded(rows: list[list[int]], fill: int) -> torch.Tensor:
    """As one tensor, filled up on the right."""
    longest = max(map(len, rows))
    return torch.tensor([row + [fill] * (longest - len(row)) for row in rows])


def cut(values: torch.Tensor) -> list[list[float]]:
    """Without what was filled up."""
    return [row[: len(labels)] for row, labels in zip(values.tolist(), LABELS, strict=True)]


def weights(name: str, kwargs: dict[str, Any], call: dict[str, Any]) -> dict[str, Any]:
    """Factor of the loss of each token: a derivative; and the tokens that a step divides by."""
    made = getattr(loss, name)(**kwargs)
    labels = padded(LABELS, IGNORED)
    terms = torch.zeros(labels.shape, requires_grad=True)
    tokens = 0
    if hasattr(made, "_aggregate_loss"):
        total = made._aggregate_loss(terms, (labels != IGNORED).float(), **call)
    else:
        output = made({"labels": labels}, {"logps": -terms})
        total, tokens = output["loss"], float(output["num_tokens"])
    (slopes,) = torch.autograd.grad(total, terms)
    return {"name": name, "kwargs": kwargs, "call": call, "weights": cut(slopes), "tokens": tokens}


def forms() -> list[Any]:
    """One number or list for each sequence, in the ways that there are."""
    longest = max(map(len, LABELS))

    def numbers(count: int) -> list[float]:
        return [round(chance.uniform(-3, 0), 3) for _ in range(count)]

    def counting(labels: list[int]) -> int:
        return sum(label != IGNORED for label in labels)

    return [
        numbers(len(LABELS)),
        [[one] for one in numbers(len(LABELS))],
        [numbers(counting(labels)) for labels in LABELS],
        [numbers(longest) for _ in LABELS],
        [numbers(longest + 3) for _ in LABELS],
        [numbers(1)[0], numbers(counting(LABELS[1])), numbers(longest), numbers(counting(LABELS[3]))],
        [[numbers(longest)] for _ in LABELS],
    ]


def aligned(data: list[Any]) -> dict[str, Any]:
    """Where the numbers go."""
    mask = padded(LABELS, IGNORED) != IGNORED
    values = loss.GRPOLoss()._pad_and_align_to_batch(data, mask, torch.device("cpu"), torch.float64)
    return {"data": data, "aligned": cut(torch.where(mask, values, 0.0))}


def main() -> None:
    """Print the fixture."""
    parts = {"weights": [weights(*one) for one in LOSSES], "aligned": [aligned(data) for data in forms()]}
    lines = [f'  "labels": {json.dumps(LABELS)}']
    for key, cases in parts.items():
        inner = ",\n    ".join(json.dumps(case) for case in cases)
        lines.append(f'  "{key}": [\n    {inner}\n  ]')
    print("{\n" + ",\n".join(lines) + "\n}")


if __name__ == "__main__":
    main()
