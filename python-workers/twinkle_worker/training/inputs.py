"""From a Work as it was sent to flat, checked tensors. Every refusal names the datum, the field and what was expected."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

import torch
from torch import Tensor

from .checks import check_datum, field_of
from .config import loss_config
from .contrast import EmbeddingLoss
from .errors import INVALID, TrainingError
from .flat_run import all_finite
from .groups import groups_of, tokens_of, totals_of
from .losses import Loss
from .spec import Datum, Work
from .twinkle_losses import PLAIN, Options


@dataclass(frozen=True, slots=True)
class Limits:
    """What a model takes.

    vocabulary: token ids are below it
    max_model_len: tokens of a datum at most
    """

    vocabulary: int
    max_model_len: int


@dataclass(frozen=True, slots=True)
class Prepared:
    """All datums of a work end to end, the longest first, on the device of the model.

    order: place in the work of each datum here; first: number of the first datum for the caller
    lengths: tokens of each; shapes: of its target_tokens
    tokens: int64 [T]; targets: int64 [T, K]; inputs: float32 [T, K] by name. Datums with fewer than K targets are filled up with weight 0
    groups: datums in each group that must be in one pass, the one of the most tokens first; None: each is by itself
    anchors: where embeddings are contrasted, datums of each anchor, in order; where all are with all, they are one group
    """

    loss: Loss
    numbers: Mapping[str, float]
    order: tuple[int, ...]
    first: int
    lengths: tuple[int, ...]
    shapes: tuple[torch.Size, ...]
    tokens: Tensor
    targets: Tensor
    inputs: Mapping[str, Tensor]
    options: Options = PLAIN
    groups: tuple[int, ...] | None = None
    anchors: tuple[int, ...] = ()

    @property
    def sizes(self) -> Sequence[int]:
        """Tokens of each group, or of each datum where there are none; the first is the largest."""
        return self.lengths if self.groups is None else tokens_of(self.groups, self.lengths)

    def within(self, first: int, last: int) -> Sequence[int]:
        """Tokens of each datum of groups ``first`` to ``last`` (exclusive), or of these datums."""
        if self.groups is None:
            return self.lengths[first:last]
        start = sum(self.groups[:first])
        return self.lengths[start : start + sum(self.groups[first:last])]


def prepare(
    work: Work, limits: Limits, device: torch.device, first: int = 0, whole: Prepared | None = None
) -> Prepared:
    """Check and join. Raises TrainingError.

    first: number of its first datum, where the caller sent others before it; whole: the work that these datums are a part of
    """
    loss, numbers, options = loss_config(work.loss, work.config)
    _check_mode(work, loss, options)
    if not work.datums:
        raise TrainingError(INVALID, "expected at least one datum but received none", "data")
    for at, datum in enumerate(work.datums):
        check_datum(at, datum, loss, limits.max_model_len)
    groups = groups_of(loss, work.datums)
    if groups is not None:
        numbers.update(totals_of(loss, numbers, work.datums, groups) if whole is None else whole.numbers)
    order, groups, anchors = _arranged(work.datums, groups, numbers)
    datums = [work.datums[at] for at in order]
    tokens = torch.cat([datum.tokens for datum in datums]).long()
    _check_ids(tokens, order, datums, limits.vocabulary, "model_input")
    shapes: tuple[torch.Size, ...] = ()
    targets, inputs = torch.empty(0, dtype=torch.int64), {}
    if not isinstance(loss, EmbeddingLoss):
        shapes = tuple(datum.inputs["target_tokens"].shape for datum in datums)
        targets, inputs = _targeted(loss, order, datums, limits)
    return Prepared(
        loss=loss,
        numbers=numbers,
        order=tuple(order),
        first=first,
        lengths=tuple(len(datum.tokens) for datum in datums),
        shapes=shapes,
        tokens=tokens.to(device),
        targets=targets.to(device),
        inputs={name: values.to(device) for name, values in inputs.items()},
        options=options,
        groups=groups,
        anchors=anchors,
    )


def _check_mode(work: Work, loss: Loss, options: Options) -> None:
    """Raise TrainingError where a gradient is asked of what has none."""
    if work.forward_only:
        return
    if options.disable_lora:
        raise TrainingError(
            INVALID,
            "disable_lora asks the base model, which is not trained: it goes with forward only",
            "loss_fn_config.disable_lora",
        )
    if isinstance(loss, EmbeddingLoss) and not loss.grouped:
        raise TrainingError(INVALID, f"{work.loss} has no loss to go back from: it goes with forward only", "loss_fn")


def _arranged(
    datums: Sequence[Datum], groups: Sequence[int] | None, numbers: Mapping[str, float]
) -> tuple[list[int], tuple[int, ...] | None, tuple[int, ...]]:
    """The order of datums; the groups of a pass in that order, if any; and the sizes of groups of anchors."""
    # Equal lengths side by side attend as one batch; the longest first leaves the least room at the end of passes.
    if groups is None:
        return sorted(range(len(datums)), key=lambda at: -len(datums[at].tokens)), None, ()
    if numbers.get("use_batch"):
        return list(range(len(datums))), (len(datums),), tuple(groups)
    sizes = tokens_of(groups, [len(datum.tokens) for datum in datums])
    begins = list(accumulate(groups, initial=0))
    ranking = sorted(range(len(groups)), key=lambda at: -sizes[at])
    order = [place for at in ranking for place in range(begins[at], begins[at] + groups[at])]
    arranged = tuple(groups[at] for at in ranking)
    return order, arranged, arranged


def _targeted(
    loss: Loss, order: Sequence[int], datums: Sequence[Datum], limits: Limits
) -> tuple[Tensor, dict[str, Tensor]]:
    """Targets and inputs end to end. Raises TrainingError for a token outside and for what is not finite."""
    width = max((datum.inputs["target_tokens"].shape[1:].numel() for datum in datums), default=1)
    targets = _join([datum.inputs["target_tokens"].long() for datum in datums], width)
    _check_ids(targets, order, datums, limits.vocabulary, "loss_fn_inputs.target_tokens")
    names = {name for datum in datums for name in datum.inputs} - {"target_tokens", *loss.optional}
    ragged = any(datum.inputs["target_tokens"].shape[1:].numel() != width for datum in datums)
    if ragged:
        names.add("weights")
    inputs: dict[str, Tensor] = {}
    for name in sorted(names):
        inputs[name] = _join([_values(datum, name) for datum in datums], width)
        if not all_finite(inputs[name]):
            bad = _datum_of(int((~inputs[name].isfinite()).any(1).nonzero()[0]), order, datums)
            raise TrainingError(
                INVALID, f"expected finite numbers but received NaN or infinity in datum {bad}", field_of(bad, name)
            )
    return targets, inputs


def _check_ids(ids: Tensor, order: Sequence[int], datums: Sequence[Datum], vocabulary: int, field: str) -> None:
    low, high = torch.aminmax(ids)
    if int(low) < 0 or int(high) >= vocabulary:
        wrong = (ids < 0) | (ids >= vocabulary)
        row = int(wrong.view(len(ids), -1).any(1).nonzero()[0])
        bad = _datum_of(row, order, datums)
        raise TrainingError(
            INVALID,
            f"expected token ids of 0 to {vocabulary - 1} but received {int(ids[wrong][0])} in datum {bad}",
            f"data[{bad}].{field}",
        )


def _values(datum: Datum, name: str) -> Tensor:
    """An input, or the ones that absent weights stand for."""
    values = datum.inputs.get(name)
    return torch.ones(datum.inputs["target_tokens"].shape) if values is None else values


def _join(parts: Sequence[Tensor], width: int) -> Tensor:
    """Parts [N] or [N, K] end to end as [T, width], filled up with zeros."""
    columns = [part.view(len(part), -1) for part in parts]
    if any(part.shape[1] != width for part in columns):
        columns = [torch.nn.functional.pad(part, (0, width - part.shape[1])) for part in columns]
    return torch.cat(columns)


def _datum_of(row: int, order: Sequence[int], datums: Sequence[Datum]) -> int:
    """Number in the work of the datum that holds ``row``."""
    for number, datum in zip(order, datums, strict=True):
        row -= len(datum.tokens)
        if row < 0:
            return number
    raise IndexError(row)
