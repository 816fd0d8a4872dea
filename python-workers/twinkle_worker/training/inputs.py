"""From a Work as it was sent to flat, checked tensors. Every refusal names the datum, the field and what was expected."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .config import loss_config
from .errors import INVALID, TOO_LONG, UNKNOWN, TrainingError
from .flat_run import all_finite
from .losses import Loss
from .spec import Datum, Work

_WHOLE = (torch.int64, torch.int32)


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


def prepare(work: Work, limits: Limits, device: torch.device, first: int = 0) -> Prepared:
    """Check and join. ``first``: number of its first datum, where the caller sent others before it. Raises TrainingError."""
    loss, numbers = loss_config(work.loss, work.config)
    if not work.datums:
        raise TrainingError(INVALID, "expected at least one datum but received none", "data")
    for at, datum in enumerate(work.datums):
        _check_shapes(at, datum, loss, limits)
    # Equal lengths side by side attend as one batch; the longest first leaves the least room at the end of passes.
    order = sorted(range(len(work.datums)), key=lambda at: -len(work.datums[at].tokens))
    datums = [work.datums[at] for at in order]
    tokens = torch.cat([datum.tokens for datum in datums]).long()
    _check_ids(tokens, order, datums, limits.vocabulary, "model_input")
    width = max((datum.inputs["target_tokens"].shape[1:].numel() for datum in datums), default=1)
    targets = _join([datum.inputs["target_tokens"].long() for datum in datums], width)
    _check_ids(targets, order, datums, limits.vocabulary, "loss_fn_inputs.target_tokens")
    names = {name for datum in datums for name in datum.inputs} - {"target_tokens"}
    ragged = any(datum.inputs["target_tokens"].shape[1:].numel() != width for datum in datums)
    if ragged:
        names.add("weights")
    inputs: dict[str, Tensor] = {}
    for name in sorted(names):
        inputs[name] = _join([_values(datum, name) for datum in datums], width)
        if not all_finite(inputs[name]):
            bad = _datum_of(int((~inputs[name].isfinite()).any(1).nonzero()[0]), order, datums)
            raise TrainingError(
                INVALID, f"expected finite numbers but received NaN or infinity in datum {bad}", _field(bad, name)
            )
    return Prepared(
        loss=loss,
        numbers=numbers,
        order=tuple(order),
        first=first,
        lengths=tuple(len(datum.tokens) for datum in datums),
        shapes=tuple(datum.inputs["target_tokens"].shape for datum in datums),
        tokens=tokens.to(device),
        targets=targets.to(device),
        inputs={name: values.to(device) for name, values in inputs.items()},
    )


def _check_shapes(at: int, datum: Datum, loss: Loss, limits: Limits) -> None:
    tokens, inputs = datum.tokens, datum.inputs
    if tokens.ndim != 1 or tokens.dtype not in _WHOLE or len(tokens) == 0:
        raise TrainingError(
            INVALID,
            f"expected tokens int32 [N] with N at least 1 in datum {at} but received {_kind(tokens)}",
            f"data[{at}].model_input",
        )
    if len(tokens) > limits.max_model_len:
        raise TrainingError(
            TOO_LONG,
            f"datum {at} has {len(tokens)} tokens, over the {limits.max_model_len} of this model; cut or split it",
            f"data[{at}].model_input",
        )
    for name in ("target_tokens", *loss.required):
        if name not in inputs:
            raise TrainingError(INVALID, f"datum {at} lacks the input {name!r} of this loss", _field(at, name))
    shape = inputs["target_tokens"].shape
    # First the one that the others are compared with: they come in any order.
    for name in sorted(inputs, key=lambda one: one != "target_tokens"):
        values = inputs[name]
        if name not in ("target_tokens", "weights", *loss.required):
            known = ", ".join(("target_tokens", *loss.required, "weights"))
            raise TrainingError(
                UNKNOWN, f"datum {at} has an input {name!r}, which is none of {known}", _field(at, name)
            )
        dtypes, dtype = (_WHOLE, "int64") if name == "target_tokens" else ((torch.float32,), "float32")
        allowed = f"[{len(tokens)}]" + (f" or [{len(tokens)}, K]" if loss.many and name == "target_tokens" else "")
        right = shape[:1] == (len(tokens),) and (len(shape) == 1 or (loss.many and len(shape) == 2 and shape[1] > 0))
        if values.dtype not in dtypes or values.shape != shape or not right:
            expected = allowed if name == "target_tokens" else f"{list(shape)}, the shape of target_tokens,"
            raise TrainingError(
                INVALID,
                f"expected {name} {dtype} {expected} in datum {at} but received {_kind(values)}",
                _field(at, name),
            )


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


def _field(at: int, name: str) -> str:
    return f"data[{at}].loss_fn_inputs.{name}"


def _kind(values: Tensor) -> str:
    return f"{str(values.dtype).removeprefix('torch.')} {list(values.shape)}"
