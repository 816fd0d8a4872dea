"""What workers print, on the terminal of the program that they work for, as Ray shows it: ``(Counter pid=4711) counter: 1``."""

from __future__ import annotations

import io
import sys
import threading
from collections.abc import Callable
from typing import Any, TextIO

from .forks import leave_at_fork

LONGEST = 65_536
"""Characters of a line, after which it is told without its end."""


class Printed(io.TextIOBase):
    """Stands for ``sys.stdout`` or ``sys.stderr`` of a worker: writes to its log, and tells whole lines."""

    def __init__(self, log: TextIO, tell: Callable[[list[str]], None]) -> None:
        self._log = log
        self._tell = tell
        self._rest = ""
        self._lock = threading.Lock()
        leave_at_fork(self)

    def leave_to_parent(self) -> None:
        """See Shared of forks: what a child prints is in the log only."""
        self._lock = threading.Lock()
        self._rest = ""

    def write(self, text: str) -> int:
        self._log.write(text)
        with self._lock:
            *lines, self._rest = (self._rest + text).split("\n")
            if len(self._rest) > LONGEST:
                lines.append(self._rest)
                self._rest = ""
        if lines:
            self._tell(lines)
        return len(text)

    def flush(self) -> None:
        self._log.flush()

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return False

    def fileno(self) -> int:
        return self._log.fileno()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._log.encoding

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)


def show(who: str, pid: int, lines: list[str], error: bool) -> None:
    """In the program: each line with who printed it, where the program itself would print it."""
    out = sys.stderr if error else sys.stdout
    try:
        out.write("".join(f"({who} pid={pid}) {line}\n" for line in lines))
        out.flush()
    except (OSError, ValueError):
        pass  # its terminal is gone
