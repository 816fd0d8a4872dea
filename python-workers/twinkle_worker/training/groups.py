"""Datums of a work that belong together, and so stay on one rank and in one pass; and what their losses are divided by."""

from __future__ import annotations

from collections.abc import Sequence

from .contrast import EmbeddingLoss
from .errors import INVALID, TrainingError
from .losses import Loss, Numbers
from .sequence_losses import SequenceLoss, pair_totals
from .spec import Datum


def groups_of(loss: Loss, datums: Sequence[Datum]) -> list[int] | None:
    """Datums in each group, in order; None: each is by itself. Raises TrainingError where they make no groups."""
    if isinstance(loss, SequenceLoss) and loss.pairs:
        if len(datums) % 2:
            raise TrainingError(
                INVALID,
                f"expected pairs, a chosen datum and then its rejected one, but received {len(datums)} datums",
                "data",
            )
        return [2] * (len(datums) // 2)
    if not isinstance(loss, EmbeddingLoss) or not loss.grouped:
        return None
    firsts = [at for at, datum in enumerate(datums) if float(datum.inputs["anchor"]) == 1.0]
    if not firsts or firsts[0] != 0:
        raise TrainingError(INVALID, "expected the first datum to be an anchor", "data[0].loss_fn_inputs.anchor")
    sizes = [last - first for first, last in zip(firsts, (*firsts[1:], len(datums)), strict=True)]
    for first, size in zip(firsts, sizes, strict=True):
        if size < 2:
            raise TrainingError(
                INVALID, f"the anchor of datum {first} has no positive: it is the datum after it", f"data[{first}]"
            )
    return sizes


def totals_of(loss: Loss, numbers: Numbers, datums: Sequence[Datum], groups: Sequence[int] | None) -> dict[str, float]:
    """Numbers that the loss of a whole work is divided by, where it is by groups. Raises TrainingError for groups that are too small."""
    if groups is None:
        return {}
    if isinstance(loss, SequenceLoss):
        return pair_totals([datum.inputs["mask"] for datum in datums])
    wanted = numbers.get("hard_negatives", 0.0)
    if wanted > 0 and min(groups) < 3:
        raise TrainingError(
            INVALID,
            f"hard_negatives {wanted:g} repeats negatives, but a group has none",
            "loss_fn_config.hard_negatives",
        )
    return {"groups": float(len(groups))}


def datums_of(groups: Sequence[int] | None, chosen: range) -> range:
    """The datums of ``chosen`` groups, which follow each other."""
    if groups is None or len(chosen) == 0:
        return chosen
    start = sum(groups[: chosen.start])
    return range(start, start + sum(groups[chosen.start : chosen.stop]))


def tokens_of(groups: Sequence[int] | None, lengths: Sequence[int]) -> list[int]:
    """Tokens of each group, from those of each datum."""
    if groups is None:
        return list(lengths)
    rest = iter(lengths)
    return [sum(next(rest) for _ in range(size)) for size in groups]
