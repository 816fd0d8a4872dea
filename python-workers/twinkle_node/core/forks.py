"""What a fork of this process leaves to it: its connections. Two processes that read from one, or write to it, would break it for both."""

from __future__ import annotations

import os
import traceback
import weakref
from typing import Protocol

_mine: weakref.WeakSet[Shared] = weakref.WeakSet()
_is_child = False


class Shared(Protocol):
    """What a fork has a copy of and may not use."""

    def leave_to_parent(self) -> None:
        """In the child: let go of it. Others' threads may have been in the middle of it, so no lock is taken."""
        ...


def leave_at_fork(one: Shared) -> None:
    """From now on forks of this process leave it alone. Kept weakly."""
    _mine.add(one)


def begin_worker() -> None:
    """This process is a fork itself, and meant to be one: of the template."""
    global _is_child
    _is_child = False


def end_child(error: BaseException | None = None) -> None:
    """A child that comes back from the code that forked it has nothing to do here: it ends. Nothing happens in any other process."""
    if not _is_child:
        return
    if error is not None and not isinstance(error, SystemExit):
        traceback.print_exception(error)
    code = getattr(error, "code", None) if isinstance(error, SystemExit) else int(error is not None)
    os._exit(code if isinstance(code, int) else int(code is not None))


def _in_child() -> None:
    global _is_child
    _is_child = True
    for one in list(_mine):
        one.leave_to_parent()
    _mine.clear()


os.register_at_fork(after_in_child=_in_child)
