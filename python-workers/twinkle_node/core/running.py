"""Which call the code that runs belongs to."""

from __future__ import annotations

import contextvars

_here: contextvars.ContextVar[str] = contextvars.ContextVar("twinkle_call", default="")
_alone = ""


def current_call() -> str:
    """Id of the object that its result becomes; empty: no call."""
    return _here.get() or _alone


def runs_here(ref: str) -> None:
    """What this thread or coroutine does from now on is of that call; empty: of none."""
    _here.set(ref)


def runs_alone(ref: str) -> None:
    """All that this process does from now on is of that call, in threads that it starts, too; empty: of none."""
    global _alone
    _alone = ref
