"""What the server says is wrong, as exceptions."""

from __future__ import annotations

import re
from typing import Any


class TwinkleError(Exception):
    """An error with a code of docs/errors.md, in the server's words.

    ``code`` is the word in the table, ``details`` facts for programs, ``exit_code`` what the server's process ended with (None: it runs).
    """

    def __init__(
        self, code: str, message: str, details: dict[str, Any] | None = None, exit_code: int | None = None
    ) -> None:
        super().__init__(f"{message} [{code}]")
        self.code = code
        self.message = message
        self.details = details or {}
        self.exit_code = exit_code


class ConfigError(TwinkleError, ValueError):
    """A configuration that the server refuses: wrong in itself, or not possible on these machines."""


_CONFIG = frozenset(("USAGE", "CONFIG_INVALID", "PLACEMENT_INVALID", "DEVICE_MISSING", "INFEASIBLE"))


def server_error(event: dict[str, Any]) -> TwinkleError:
    """The exception for an ``error`` event of ``serve --json``."""
    code = str(event.get("code", "INTERNAL"))
    kind = ConfigError if code in _CONFIG else TwinkleError
    # Lines of what we wrote for the server mean nothing to whoever wrote Python.
    message = re.sub(r"\bstdin:\d+:\d+: ", "", str(event.get("message", "")))
    return kind(code, message, event.get("details"), event.get("exit"))
