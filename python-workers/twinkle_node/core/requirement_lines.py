"""Lines of requirements, as pip reads them, so that they mean the same wherever the node runs pip."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from ..errors import ConfigError
from .folders import entries_of

_OPTION = re.compile(r"^(-e|--editable|-f|--find-links|-c|--constraint|-r|--requirement)(?:\s+|=)(.+)$")
_BUILT = ("build/", "dist/", "*.egg-info/", "*.pyc")
"""What building a project leaves in it."""


def lines_of(path: str) -> list[str]:
    """Of a file, with those of the files that it includes. Raises ConfigError when one cannot be read."""
    try:
        text = Path(path).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError("CONFIG_INVALID", f"the requirements in `{path}` cannot be read: {error}") from error
    joined = re.sub(r"\\\r?\n", " ", text)
    plain = (re.sub(r"(^|\s)#.*$", "", line).strip() for line in joined.splitlines())
    return absolute([line for line in plain if line], os.path.dirname(os.path.abspath(path)))


def absolute(lines: Iterable[str], folder: str) -> list[str]:
    """The lines with paths that do not depend on where pip runs; what they include in their place."""
    found: list[str] = []
    for line in lines:
        option = _OPTION.match(line)
        if option is None:
            found.append(_path(line, folder) if _is_path(line, folder) else line)
        elif option[1] in ("-r", "--requirement") and "://" not in option[2]:
            found += lines_of(os.path.join(folder, option[2]))
        elif "://" in option[2]:
            found.append(line)
        else:
            found.append(f"{option[1]} {_path(option[2], folder)}")
    return found


def stamp_of(lines: Sequence[str]) -> str:
    """What the local files and folders among them are like; empty: there are none. A folder of wheels counts as an index: not at all."""
    told: list[str] = []
    for line in lines:
        option = _OPTION.match(line)
        if option is not None and option[1] in ("-f", "--find-links"):
            continue
        path = re.sub(r"^file://|\[[^]]*\]$", "", line if option is None else option[2])
        if not path.startswith("/"):
            continue
        if os.path.isdir(path):
            files = [entry for entry in entries_of(path, _BUILT) if not entry.name.endswith("/")]
            told += [f"{entry.path} {entry.stat.st_size} {entry.stat.st_mtime_ns}" for entry in files]
        elif os.path.exists(path):
            found = os.stat(path)
            told.append(f"{path} {found.st_size} {found.st_mtime_ns}")
    return hashlib.sha256("\n".join(told).encode("utf-8", "surrogateescape")).hexdigest()[:16] if told else ""


def _is_path(line: str, folder: str) -> bool:
    named = re.sub(r"\[[^]]*\]$", "", line)
    return line.startswith(".") or ("/" in line and "://" not in line and os.path.exists(os.path.join(folder, named)))


def _path(written: str, folder: str) -> str:
    return os.path.normpath(os.path.join(folder, written))
