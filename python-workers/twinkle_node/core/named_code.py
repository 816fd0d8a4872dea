"""Functions and classes that programs in other languages name: ``file:/path/module.py:Name``, ``import:package.module:Name``."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from ..errors import TwinkleError

KINDS = ("file:", "import:")


def named(key: str) -> Any:
    """What the key names; of what ``@remote`` made, the function or class itself.

    Raises what its module raises, TwinkleError ``INVALID_REQUEST`` when there is no such file or name.
    """
    kind, _, rest = key.partition(":")
    where, _, name = rest.rpartition(":")
    found: Any = _file(Path(where)) if kind == "file" else importlib.import_module(where)
    for part in name.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            there = ", ".join(sorted(one for one in vars(found) if not one.startswith("_")))
            raise TwinkleError("INVALID_REQUEST", f"there is no `{name}` in {where}; it has {there}") from None
    return getattr(found, "__twinkle_remote__", found)


def _file(path: Path) -> ModuleType:
    """The module of a file, as ``import`` would have it if its folder came first: under its own name, unless another has that."""
    folder = str(path.parent)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    known = sys.modules.get(path.stem)
    if known is None:
        if not path.is_file():
            raise TwinkleError("INVALID_REQUEST", f"there is no file {path}")
        return _load(path.stem, path)
    if _is_of(known, path):
        return known
    name = f"{path.stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"
    return sys.modules.get(name) or _load(name, path)


def _is_of(module: ModuleType, path: Path) -> bool:
    origin = getattr(module, "__file__", None)
    return origin is not None and Path(origin).resolve() == path.resolve()


def _load(name: str, path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise TwinkleError("INVALID_REQUEST", f"{path} is no Python module")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
