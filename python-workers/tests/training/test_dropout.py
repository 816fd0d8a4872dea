"""Dropout beside autograd with the same masks, in passes of several runs, and in all ways in which a pass can be made."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from training_support import SPEC, STEP, Reference, good, logprobs, make_trainer, work

from twinkle_worker.training import head
from twinkle_worker.training.adapter import Adapter
from twinkle_worker.training.data_parallel import DataParallel
from twinkle_worker.training.dropout import Dropout, mixed
from twinkle_worker.training.lora_context import Slot
from twinkle_worker.training.spec import LoraSpec, Work
from twinkle_worker.training.trainer import Trainer, TrainerOptions

SOME = replace(SPEC, dropout=0.3)
CLOSE: dict[str, float] = {"atol": 1e-4, "rtol": 1e-4}


def begun(trainer: Trainer, run: str = "run", spec: LoraSpec = SOME) -> Adapter:
    """A run whose B are not zero."""
    adapter = trainer.create(run, spec)
    with torch.no_grad():
        adapter.flat.add_(torch.randn(adapter.flat.shape, generator=torch.Generator().manual_seed(1)), alpha=0.1)
    return adapter


class Watch:
    """What layers kept of their inputs, by the index of the target; a layer asks once forward and once back."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.kept: dict[int, list[Tensor]] = {}
        original = Slot.kept

        def watched(slot: Slot, index: int, x: Tensor) -> Tensor | None:
            found = original(slot, index, x)
            if found is not None:
                self.kept.setdefault(index, []).append(found)
            return found

        monkeypatch.setattr(Slot, "kept", watched)


class Masked(nn.Module):
    """As nn.Dropout, with a mask that is given."""

    def __init__(self, mask: Tensor, rate: float) -> None:
        super().__init__()
        self.factor = mask / (1 - rate)

    def forward(self, x: Tensor) -> Tensor:
        """x [1, rows, in]."""
        return x * self.factor


@pytest.mark.parametrize("way", ["plain", "checkpointed", "head in chunks"])
def test_gradients_are_those_of_autograd_with_the_same_mask(monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    trainer = make_trainer(checkpoint_activations=way == "checkpointed")
    if way == "head in chunks":
        monkeypatch.setattr(head, "_CHUNK_NUMBERS", {"cpu": 1})
    adapter = begun(trainer)
    watch = Watch(monkeypatch)
    one = work("run", [40])
    (answer,) = good(trainer.forward_backward([one]))
    reference = Reference(trainer, adapter)
    total = 0
    for target in adapter.layout.targets:
        seen = watch.kept[target.index]
        if target.kind != "unembed":
            assert all(torch.equal(part, seen[0]) for part in seen)
            assert len(seen) == (3 if way == "checkpointed" else 2)
            mask = seen[0]
        else:  # each chunk goes forward and back before the next
            assert all(torch.equal(*pair) for pair in zip(seen[::2], seen[1::2], strict=True))
            mask = torch.cat(seen[::2])
            assert len(seen) == (6 if way == "head in chunks" else 2)
            assert not torch.equal(mask[:8], mask[16:24])
        module = reference.model.get_submodule(f"base_model.model.{target.name}")
        module.lora_dropout["default"] = Masked(mask, 0.3)
        assert mask.shape == (40, target.shape[1])
        total += mask.numel()
    assert sum(int(seen[0].sum()) for seen in watch.kept.values()) / total == pytest.approx(
        0.7 if way != "head in chunks" else 0.7 - 24 * 48 * 0.7 / total, abs=0.01
    )
    reference.backward([one])
    torch.testing.assert_close(logprobs(answer), reference.logprobs(one.datums[0]).detach(), **CLOSE)
    torch.testing.assert_close(adapter.grad, reference.flat_grad(), **CLOSE)


RUNS: list[tuple[str, LoraSpec, list[int]]] = [
    ("a", replace(SOME, seed=1), [9, 12]),
    ("b", replace(SOME, seed=2), [12, 9]),
    ("c", replace(SOME, seed=3, dropout=0.6), [21]),
    # Without dropout, but with the scale that those have whose dropout is 0.6.
    ("d", replace(SOME, seed=4, dropout=0.0, alpha=32 / 0.4), [21]),
    ("e", replace(SOME, seed=5, dropout=0.0), [21]),
]
"""The first two are alike; all others differ from their neighbour in one thing."""


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_runs_of_one_pass_leave_out_what_they_would_alone(monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype) -> None:
    together, alone = make_trainer(dtype=dtype), make_trainer(dtype=dtype)
    together.base.compute_dtype = alone.base.compute_dtype = dtype
    works = [work(run, lengths, salt=at) for at, (run, _, lengths) in enumerate(RUNS)]
    for each in (together, alone):
        for run, spec, _ in RUNS:
            begun(each, run, spec)
    stacked: list[int | None] = []
    hidden = together.base.hidden

    def spy(*args: Any) -> Tensor:
        stacked.extend(segment.slot.works for segment in together.base.context.segments)
        return hidden(*args)

    monkeypatch.setattr(together.base, "hidden", spy)
    for _ in range(2):
        answers = good(together.forward_backward(works))
        for one, answer in zip(works, answers, strict=True):
            (single,) = good(alone.forward_backward([one]))
            if dtype == torch.float32:
                torch.testing.assert_close(logprobs(answer), logprobs(single), atol=1e-5, rtol=1e-5)
            ours, theirs = together.adapter(one.run).grad, alone.adapter(one.run).grad
            assert (ours - theirs).norm() < (1e-5 if dtype == torch.float32 else 0.03) * theirs.norm()
    assert stacked == [2, None, None, None] * 2


def test_parts_of_a_work_and_works_leave_out_others(monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = make_trainer(max_tokens=8)
    begun(trainer)
    watch = Watch(monkeypatch)
    good(trainer.forward_backward([work("run", [8, 8, 8])]))
    good(trainer.forward_backward([work("run", [8]), work("run", [8])]))
    trainer.optim_step("run", STEP)
    good(trainer.forward_backward([work("run", [8])]))
    shaped = {target.index for target in trainer.base.targets.found if target.shape[1] == 48}
    first = [part for index in shaped for part in watch.kept[index]]
    assert len(first) == 6 * 2 * len(shaped)
    assert len({part.numpy().tobytes() for part in first}) == 6 * len(shaped)


def trained(trainer: Trainer, steps: range, run: str = "run") -> Tensor:
    for step in steps:
        good(trainer.forward_backward([work(run, [9, 17], salt=step), work(run, [5], "ppo", salt=step)]))
        trainer.optim_step(run, STEP)
    return trainer.adapter(run).flat


def test_a_seed_means_the_same_and_a_run_goes_on_as_if_never_stopped(trainer: Trainer, tmp_path: Path) -> None:
    whole, again, other = trainer, make_trainer(), make_trainer()
    whole.create("run", SOME)
    again.create("run", SOME)
    weights = trained(whole, range(4))
    trained(again, range(2))
    again.snapshot("run").write(tmp_path / "two")
    good(again.forward_backward([work("run", [9])]))  # what is lost with the gradient
    again.load("run", tmp_path / "two", optimizer=True)
    assert torch.equal(trained(again, range(2, 4)), weights)
    # The same weights, and others left out.
    begun = other.create("run", replace(SOME, seed=6))
    begun.flat.copy_(make_trainer().create("run", SOME).flat)
    assert not torch.allclose(trained(other, range(1)), trained_once(SOME), atol=1e-4)
    assert torch.equal(trained_once(SOME), trained_once(SOME))


def trained_once(spec: LoraSpec) -> Tensor:
    trainer = make_trainer()
    trainer.create("run", spec)
    return trained(trainer, range(1))


def test_each_rank_leaves_out_others(tmp_path: Path) -> None:
    base = make_trainer().base
    drawn = []
    for rank in range(2):
        trainer = Trainer(base, TrainerOptions(), DataParallel(rank, 2, torch.device("cpu")))
        made = trainer.create("run", SOME)
        if rank == 0:
            trainer.snapshot("run").write(tmp_path / "one")
        loaded = trainer.load("other", tmp_path / "one", optimizer=True)
        assert isinstance(loaded, Adapter)
        assert torch.equal(made.flat, loaded.flat)
        drawn.append((made.next_dropout(), loaded.next_dropout()))
    (first, same), (second, alike) = drawn
    assert (first, second) == (same, alike)
    assert first != second


def test_passes_without_backward_leave_out_nothing(trainer: Trainer, monkeypatch: pytest.MonkeyPatch) -> None:
    with_some, without = begun(trainer), begun(trainer, "without", SPEC)
    assert torch.equal(with_some.flat, without.flat)
    watch = Watch(monkeypatch)
    one, other = (work(run, [9, 17], forward_only=True) for run in ("run", "without"))
    for outcome in good(trainer.forward_backward([one, other])):
        assert torch.equal(logprobs(outcome), logprobs(good(trainer.forward_backward([other]))[0]))
    assert watch.kept == {}
    # Nor are they counted: the next is the first.
    assert with_some.next_dropout() == begun(make_trainer()).next_dropout()


def test_a_run_without_draws_nothing_even_beside_one_that_does(
    trainer: Trainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun(trainer)
    begun(trainer, "without", SPEC)
    shapes: list[torch.Size] = []
    original = Dropout.kept

    def counted(drop: Dropout, shape: torch.Size, device: torch.device) -> Tensor:
        shapes.append(shape)
        return original(drop, shape, device)

    monkeypatch.setattr(Dropout, "kept", counted)
    good(trainer.forward_backward([work("without", [9])]))
    assert shapes == []
    good(trainer.forward_backward([work("without", [9]), Work("run", work("run", [5]).datums, "cross_entropy")]))
    assert {shape[0] for shape in shapes} == {5}


def test_other_numbers_mix_to_others() -> None:
    places = [(1,), (2,), (-1,), (2**64 - 1, 0), (0, -1), (1, 2), (2, 1), (1, 2, 0), (2**63,)]
    assert len({mixed(*place) for place in places}) == len(places)
    assert mixed(-1) == mixed(2**64 - 1)
    assert all(0 <= mixed(*place) < 2**64 for place in places)
