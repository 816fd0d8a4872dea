"""Finds the command line of twinkle-node. Starts nothing."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Mapping
from pathlib import Path

from .errors import TwinkleError

CHECKOUT = Path(__file__).resolve().parents[2]
"""The folder that holds python-workers when this package runs from a checkout, or from the package of npm."""


def find_cli(env: Mapping[str, str], checkout: Path = CHECKOUT) -> list[str]:
    """The words that run the CLI: ``TWINKLE_NODE_CLI``, the checkout's, ``twinkle-node`` on PATH, or ``npx twinkle-node``.

    Raises TwinkleError ``NATIVE_MISSING`` when there is no Node.js at all.
    """
    path = env.get("PATH")
    written = env.get("TWINKLE_NODE_CLI", "")
    if written:
        words = shlex.split(written)
        return [_node(path), *words] if words[0].endswith((".js", ".mjs")) else words
    local = checkout / "dist" / "cli" / "main.js"
    if local.is_file():
        return [_node(path), str(local)]
    installed = shutil.which("twinkle-node", path=path)
    if installed is not None:
        return [installed]
    npx = shutil.which("npx", path=path)
    if npx is None:
        raise _missing("neither twinkle-node nor npx is on PATH")
    return [npx, "--yes", "twinkle-node"]


def _node(path: str | None) -> str:
    node = shutil.which("node", path=path)
    if node is None:
        raise _missing("node is not on PATH")
    return node


def _missing(what: str) -> TwinkleError:
    advice = f"{what}: install Node.js (20.19 or newer), or set TWINKLE_NODE_CLI to the command"
    return TwinkleError("NATIVE_MISSING", advice)
