"""Options of ``twinkle-node serve`` as Python writes them, as the words of its command line."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from .plain import plain


def flags(options: Mapping[str, Any]) -> tuple[list[str], dict[str, str]]:
    """Flags, and variables for what no list of processes may show. ``port=0`` is ``--port=0``, ``no_auth=True`` is ``--no-auth``."""
    words: list[str] = []
    secrets: dict[str, str] = {}
    for name, given in options.items():
        value = plain(given, name)
        flag = f"--{name.replace('_', '-')}"
        if name == "api_key":
            secrets["TWINKLE_API_KEY"] = ",".join(value) if isinstance(value, list) else str(value)
        elif value is True:
            words.append(flag)
        elif value is not None and value is not False:
            words.append(f"{flag}={_text(value)}")
    return words, secrets


def _text(value: Any) -> str:
    if isinstance(value, list):
        return ",".join(str(item) for item in value)
    return json.dumps(value) if isinstance(value, dict) else str(value)
