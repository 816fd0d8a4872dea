"""How the code of a worker ends its process."""

from __future__ import annotations

import atexit
import os
import sys
from typing import NoReturn

from ..errors import TwinkleError
from .client import current
from .context import get_context
from .forks import end_child


class ActorExit(SystemExit):
    """Raised by exit_actor()."""


def exit_actor() -> NoReturn:
    """End the actor whose code this is, for good: it is not started again. What calls it, and who waits for it, sees ActorDiedError.

    ``finally`` clauses and what is registered with ``atexit`` run first. Raises TwinkleError ``USAGE`` outside of an actor.
    """
    current()
    context = get_context()
    if context is None or context.actor_id is None:
        raise TwinkleError("USAGE", "exit_actor() is called in the code of an actor")
    raise ActorExit(0)


def leave(end: SystemExit) -> NoReturn:
    """``sys.exit()`` in a call ends the worker: its callers hear of that by the end of the process, or, of exit_actor(), by the node."""
    end_child(end)
    if end.code is not None and not isinstance(end.code, int):
        print(end.code, file=sys.stderr)
    if isinstance(end, ActorExit):
        atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    if isinstance(end, ActorExit):
        try:
            current().link.call("actor.exit", {})
        except TwinkleError:
            pass  # the node is away, and ends this process
    os._exit(end.code if isinstance(end.code, int) else int(end.code is not None))
