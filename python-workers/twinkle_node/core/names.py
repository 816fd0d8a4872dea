"""How classes are called in messages."""

from __future__ import annotations


def type_name(kind: type) -> str:
    """Name of a class with its module, unless that is ``builtins``."""
    module = getattr(kind, "__module__", None)
    name = getattr(kind, "__qualname__", repr(kind))
    return name if module in (None, "builtins") else f"{module}.{name}"
