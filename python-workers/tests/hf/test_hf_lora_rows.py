"""Which rows are computed together, and that each way to compute them adds the same."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch

from twinkle_worker.engines.hf.adapter import Adapter, owners_of
from twinkle_worker.engines.hf.lora_rows import LoraPlan, LoraRows
from twinkle_worker.engines.hf.lora_stack import Stack, StackedUpdate, stackable
from twinkle_worker.engines.hf.lora_update import OwnRows

CPU = torch.device("cpu")
IN, OUT = 5, 7


def adapter(rank: int, layers: str = "x") -> Adapter:
    """With random LoRA for the layers, which have names of one letter."""
    return Adapter(str(rank), {layer: (torch.randn(IN, rank), torch.randn(rank, OUT)) for layer in layers})


A, B, C, D = adapter(2), adapter(3, "xy"), adapter(4, "y"), adapter(1)


@pytest.mark.parametrize(
    ("owners", "together"),
    [
        ([A, A, None], []),
        ([A, B, A, C], [A, B, C]),
        ([*[A] * 4, B, C], [A, B, C]),
        ([*[A] * 5, B, C], [B, C]),
        ([*[A] * 9, B], []),
        ([*[A] * 9, *[B] * 4, *[C] * 9], [A, B, C]),
    ],
)
def test_adapters_with_far_more_rows_stay_apart(owners: Sequence[Adapter | None], together: list[Adapter]) -> None:
    assert stackable(owners) == together


@pytest.mark.parametrize(
    "owners",
    [
        [A, A, A],
        [None, A, A, None],
        [A, None, A, B],
        [A, B, C, D],
        [D, A, None, B, A, C, None, B, D, D],
        [*[A] * 7, B, *[A] * 3, D, None],
    ],
)
@pytest.mark.parametrize("width", [1, 3])
def test_every_plan_adds_what_each_row_alone_would_have(owners: Sequence[Adapter | None], width: int) -> None:
    torch.manual_seed(1)
    given, before = torch.randn(len(owners), width, IN), torch.randn(len(owners), width, OUT)
    rows = LoraRows(CPU)
    for plan in (rows.prefill_plan(owners), rows.decode_plan(owners)):
        assert isinstance(plan, LoraPlan)
        for layer in "xyz":
            found = before.clone()
            for update in plan.updates(layer):
                update.add(given, found)
            for row, owner in enumerate(owners):
                expected = before[row]
                if owner is not None and layer in owner.weights:
                    a, b = owner.weights[layer]
                    expected = expected + given[row] @ a @ b
                torch.testing.assert_close(found[row], expected)


def test_plans_of_decode_steps_are_kept_until_weights_change() -> None:
    rows = LoraRows(CPU)
    owners = owners_of([A, B, D])
    plan = rows.decode_plan(owners)
    assert rows.decode_plan(owners) is plan
    rows.forget(C)
    assert rows.decode_plan(owners) is plan
    rows.forget(B)
    assert rows.decode_plan(owners) is not plan
    assert owners_of([None, None]) is None
    assert rows.decode_plan(None) is None


def test_a_stack_serves_fewer_adapters_too_but_not_far_fewer() -> None:
    stack = Stack.of([A, B, C, D], None)
    assert stack.serves([B, D])
    assert not stack.serves([B])
    assert not stack.serves([B, adapter(2)])
    assert Stack.of([B], stack).adapters == (B, D)


def test_one_product_for_many_adapters_and_views_for_rows_that_lie_together() -> None:
    rows = LoraRows(CPU)
    plan = rows.decode_plan([A, B, A, D])
    assert plan is not None
    assert [type(update) for update in plan.updates("x")] == [StackedUpdate]
    plan = rows.prefill_plan([A, A, B])
    assert plan is not None
    kinds = [update.rows for update in plan.updates("x") if isinstance(update, OwnRows)]
    assert kinds == [slice(0, 2), slice(2, 3)]
