"""What the Tinker SDK raises, for the scripts of this folder."""

from __future__ import annotations

from collections.abc import Callable


def error_of(call: Callable[[], object]) -> list[str]:
    """The type and the words of what a call raises."""
    try:
        call()
    except Exception as error:
        return [type(error).__name__, str(error)]
    raise AssertionError("it was answered")
