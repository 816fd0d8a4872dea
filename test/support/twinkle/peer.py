"""Makes an installed or unpacked twinkle-kit importable where not all that it depends on is there: what is missing is a stand-in."""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import sys
import types
from collections.abc import Sequence
from typing import ClassVar
from unittest.mock import MagicMock

_MAY_BE_MISSING = ("datasets", "peft", "requests", "transformers", "modelscope", "ray", "urllib3", "PIL")


class _StandIn(types.ModuleType):
    __path__: ClassVar[list[str]] = []

    def __getattr__(self, name: str) -> object:
        if name.startswith("__"):
            raise AttributeError(name)
        return MagicMock()


class _StandIns(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        del path, target
        if fullname.split(".")[0] not in _MAY_BE_MISSING:
            return None
        return importlib.machinery.ModuleSpec(fullname, self, is_package=True)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        return _StandIn(spec.name)

    def exec_module(self, module: types.ModuleType) -> None:
        del module


def use_stand_ins() -> None:
    """To be called before twinkle is imported. What is installed comes first."""
    sys.meta_path.append(_StandIns())
