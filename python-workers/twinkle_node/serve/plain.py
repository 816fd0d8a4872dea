"""Turns what users put into a configuration into JSON's types."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from pathlib import PurePath
from typing import Any


def plain(value: Any, where: str) -> Any:
    """Mappings, sequences, paths and enums as JSON has them; what is None in a mapping is kept.

    Raises TypeError that names the place of anything else.
    """
    if value is None or isinstance(value, bool | int | float | str):
        return value.value if isinstance(value, Enum) else value
    if isinstance(value, Enum):
        return plain(value.value, where)
    if isinstance(value, PurePath):
        return str(value)
    if isinstance(value, Mapping):
        return {_name(key, where): plain(item, f"{where}.{key}") for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item, f"{where}[{at}]") for at, item in enumerate(value)]
    if hasattr(value, "model_dump"):  # pydantic's
        return plain(value.model_dump(exclude_unset=True), where)
    raise TypeError(f"{where}: expected plain values but received {type(value).__name__}")


def _name(key: Any, where: str) -> str:
    if not isinstance(key, str):
        raise TypeError(f"{where}: expected names as keys but received {key!r}")
    return key
