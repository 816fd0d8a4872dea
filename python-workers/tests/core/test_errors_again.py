"""Errors of this process, raised by every ``get`` of a reference."""

from __future__ import annotations

import gc
import weakref

import pytest

from twinkle_node.core.stored import Stored
from twinkle_node.errors import ActorDiedError, GetTimeoutError, TwinkleError, WorkerDiedError


class Local:
    """Something that a frame has."""


@pytest.mark.parametrize(
    "error",
    [
        ActorDiedError("1.0", "Cls", "why", node="n", pid=3, restarting=True),
        WorkerDiedError("task", "n", 3, "signal 9"),
        GetTimeoutError("late"),
        TwinkleError("SHM_FULL", "no room", {"bytes": 3}),
    ],
)
def test_an_error_that_is_kept_keeps_no_frame_of_who_saw_it(error: BaseException) -> None:
    error.__cause__ = KeyError("cause")
    stored = Stored(None, error=error)

    def sees() -> weakref.ref[Local]:
        local = Local()
        with pytest.raises(type(error)) as caught:
            raise stored.exception()
        assert caught.value is not error
        assert str(caught.value) == str(error)
        assert vars(caught.value) == vars(error)
        assert caught.value.__cause__ is error.__cause__
        return weakref.ref(local)

    seen = sees()
    gc.collect()
    assert seen() is None
    assert error.__traceback__ is None
