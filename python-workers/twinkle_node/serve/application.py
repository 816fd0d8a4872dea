"""An application: what will be served, as plain data, before anything runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Application:
    """What ``build_openai_app`` makes and ``serve.run`` takes. ``config`` has the server's own names."""

    config: Mapping[str, Any]
