"""The one error that the training core raises on purpose, and its codes."""

from __future__ import annotations

from ..engines.base import RequestError

INVALID = "INVALID_REQUEST"
"""A value that is wrong in itself: shape, dtype, range, NaN."""
UNKNOWN = "UNKNOWN_FIELD"
"""An input or option that nobody knows; never ignored."""
UNSUPPORTED = "UNSUPPORTED_PARAMETER"
"""Known in the field, but not done here, or not by this model."""
TOO_LONG = "CONTEXT_LENGTH_EXCEEDED"
NO_RUN = "RUN_NOT_FOUND"
NO_CHECKPOINT = "CHECKPOINT_NOT_FOUND"
DAMAGED = "CHECKPOINT_DAMAGED"
"""Files are missing, torn or changed."""
EXISTS = "CHECKPOINT_EXISTS"
STORAGE = "STORAGE_FAILED"
"""The disk is full or refuses; the run goes on."""
MEMORY = "OUT_OF_MEMORY"
NON_FINITE = "NON_FINITE"
"""A loss or gradient came out as NaN or infinite from finite inputs."""
ENGINE = "ENGINE_ERROR"
"""Whatever nobody foresaw."""

ELSEWHERE = "RANK_FAILED"
"""Another rank says why; without words."""

_SERVER = {DAMAGED, STORAGE, MEMORY, ENGINE, ELSEWHERE}


class TrainingError(RequestError):
    """What went wrong with one request or run; the trainer and all other runs go on.

    param: the place in the request, such as ``data[3].loss_fn_inputs.weights``, or None
    """

    @property
    def user(self) -> bool:
        """Whether the request is at fault rather than the machine."""
        return self.code not in _SERVER
