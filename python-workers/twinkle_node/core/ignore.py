"""Which files of a folder git would leave out: the rules of .gitignore files, as git-scm.com/docs/gitignore has them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple


class Rule(NamedTuple):
    """One line. ``matches`` is for paths relative to the folder of its file, with ``/`` between their parts."""

    matches: re.Pattern[str]
    negated: bool
    folders_only: bool


def rules_of(lines: Iterable[str]) -> list[Rule]:
    """The rules among lines."""
    return [rule for rule in map(_rule, lines) if rule is not None]


def is_ignored(path: str, is_folder: bool, rules: Iterable[tuple[str, list[Rule]]]) -> bool:
    """Whether the last rule that matches leaves it out.

    ``rules``: folder, with a ``/`` at its end unless it is the first, and its rules; the first folder first. What lies in a folder that is
    left out is left out whatever its rules say: whoever walks does not enter it.
    """
    ignored = False
    for folder, own in rules:
        within = path[len(folder) :]
        for rule in own:
            if (is_folder or not rule.folders_only) and rule.matches.fullmatch(within):
                ignored = not rule.negated
    return ignored


def _rule(line: str) -> Rule | None:
    text = re.sub(r"(?<!\\)((?:\\\\)*) +$", r"\1", line.rstrip("\r\n"))
    if not text or text.startswith("#"):
        return None
    negated = text.startswith("!")
    text = text[negated:]
    folders_only = text.endswith("/")
    text = text.rstrip("/") if folders_only else text
    if not text:
        return None
    anchored = "/" in text
    pattern = _pattern(text.removeprefix("/"))
    return (
        None
        if pattern is None
        else Rule(re.compile(pattern if anchored else f"(?:.*/)?{pattern}", re.S), negated, folders_only)
    )


def _pattern(text: str) -> str | None:
    """As a regular expression; None: nothing can match."""
    parts = text.split("/")
    found = ""
    for at, part in enumerate(parts):
        last = at == len(parts) - 1
        if part == "**":
            # Between slashes: any number of folders; at the end: everything within.
            found += ".+" if last else "(?:.*/)?"
            continue
        one = _segment(part)
        if one is None:
            return None
        found += one if last else f"{one}/"
    return found


def _segment(text: str) -> str | None:
    found, at = "", 0
    while at < len(text):
        char = text[at]
        at += 1
        if char == "*":
            found += "[^/]*"
        elif char == "?":
            found += "[^/]"
        elif char == "\\":
            if at == len(text):
                return None  # an escape of nothing
            found += re.escape(text[at])
            at += 1
        elif char == "[":
            end = text.find("]", at + 2 if text[at : at + 1] in ("!", "^") else at + 1)
            if end < 0:
                return None
            inner = text[at:end]
            negated = inner[:1] in ("!", "^")
            inner = inner[negated:].replace("[", "\\[").replace("^", "\\^").replace("&&", "&\\&")
            found += f"(?!/)[{'^' if negated else ''}{inner}]"
            at = end + 1
        else:
            found += re.escape(char)
    return found
