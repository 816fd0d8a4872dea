"""Checks of one datum of a work: which inputs it has, their dtypes and shapes. Values are checked where all are joined."""

from __future__ import annotations

import torch
from torch import Tensor

from .contrast import EmbeddingLoss
from .errors import INVALID, TOO_LONG, UNKNOWN, TrainingError
from .losses import Loss
from .spec import Datum

_WHOLE = (torch.int64, torch.int32)
_FLAGS = ("mask", "anchor")


def check_datum(at: int, datum: Datum, loss: Loss, max_tokens: int) -> None:
    """Raise TrainingError unless datum number ``at`` has at most ``max_tokens`` tokens and what its loss takes."""
    _check_tokens(at, datum.tokens, max_tokens)
    if isinstance(loss, EmbeddingLoss):
        _check_embedded(at, datum, loss)
    else:
        _check_targeted(at, datum, loss)
    for name in _FLAGS:
        values = datum.inputs.get(name)
        if values is not None and not bool(((values == 0) | (values == 1)).all()):
            raise TrainingError(INVALID, f"expected {name} to be 0 or 1 in datum {at}", field_of(at, name))


def field_of(at: int, name: str) -> str:
    """The place of an input in a request."""
    return f"data[{at}].loss_fn_inputs.{name}"


def _check_tokens(at: int, tokens: Tensor, max_tokens: int) -> None:
    if tokens.ndim != 1 or tokens.dtype not in _WHOLE or len(tokens) == 0:
        raise TrainingError(
            INVALID,
            f"expected tokens int32 [N] with N at least 1 in datum {at} but received {_kind(tokens)}",
            f"data[{at}].model_input",
        )
    if len(tokens) > max_tokens:
        raise TrainingError(
            TOO_LONG,
            f"datum {at} has {len(tokens)} tokens, over the {max_tokens} of this model; cut or split it",
            f"data[{at}].model_input",
        )


def _check_targeted(at: int, datum: Datum, loss: Loss) -> None:
    tokens, inputs = datum.tokens, datum.inputs
    for name in ("target_tokens", *loss.required):
        if name not in inputs:
            raise _lacks(at, name)
    shape = inputs["target_tokens"].shape
    # First the one that the others are compared with: they come in any order.
    for name in sorted(inputs, key=lambda one: one != "target_tokens"):
        values = inputs[name]
        if name not in loss.inputs:
            raise _unknown(at, name, loss.inputs)
        dtypes, dtype = (_WHOLE, "int64") if name == "target_tokens" else ((torch.float32,), "float32")
        allowed = f"[{len(tokens)}]" + (f" or [{len(tokens)}, K]" if loss.many and name == "target_tokens" else "")
        right = shape[:1] == (len(tokens),) and (len(shape) == 1 or (loss.many and len(shape) == 2 and shape[1] > 0))
        if values.dtype not in dtypes or values.shape != shape or not right:
            expected = allowed if name == "target_tokens" else f"{list(shape)}, the shape of target_tokens,"
            raise TrainingError(
                INVALID,
                f"expected {name} {dtype} {expected} in datum {at} but received {_kind(values)}",
                field_of(at, name),
            )


def _check_embedded(at: int, datum: Datum, loss: EmbeddingLoss) -> None:
    for name in loss.required:
        if name not in datum.inputs:
            raise _lacks(at, name)
    for name, values in datum.inputs.items():
        if name not in loss.required:
            raise _unknown(at, name, loss.required)
        if values.dtype != torch.float32 or values.shape != (1,):
            raise TrainingError(
                INVALID, f"expected {name} float32 [1] in datum {at} but received {_kind(values)}", field_of(at, name)
            )


def _lacks(at: int, name: str) -> TrainingError:
    return TrainingError(INVALID, f"datum {at} lacks the input {name!r} of this loss", field_of(at, name))


def _unknown(at: int, name: str, known: tuple[str, ...]) -> TrainingError:
    names = ", ".join(known) or "what its loss takes, as it takes none"
    return TrainingError(UNKNOWN, f"datum {at} has an input {name!r}, which is none of {names}", field_of(at, name))


def _kind(values: Tensor) -> str:
    return f"{str(values.dtype).removeprefix('torch.')} {list(values.shape)}"
