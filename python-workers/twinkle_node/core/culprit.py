"""Says which part of a value cannot be pickled, by trying its parts one by one."""

from __future__ import annotations

import functools
import inspect
import io
from collections.abc import Iterable, Iterator, Mapping
from types import CodeType, FunctionType, MethodType
from typing import Any

from ..errors import SerializationError, TwinkleError
from .names import type_name
from .pickler import ValuePickler

_DEPTH = 8
_TRIES = 1_000

Part = tuple[str, Any]


def explain(named: Iterable[Part], error: Exception, refs_allowed: bool = False) -> SerializationError:
    """The error to raise for values that could not be pickled because of ``error``.

    ``named`` are the values with what they are called. The search gives up after some depth and number of tries, and then
    names what it has found so far.
    """
    search = _Search(refs_allowed)
    parts: Iterable[Part] = named
    culprit: Any = None
    path, kind, advice, why = "value", "", "Look at what its classes do when they are pickled.", error
    for _ in range(_DEPTH):
        found = search.first_failing(parts)
        if found is None:
            break
        (path, culprit), why = found
        kind, advice = type_name(type(culprit)), _advice(culprit)
        parts = _parts(path, culprit)
    reason = (why.message if isinstance(why, TwinkleError) else str(why)) or type(why).__name__
    message = f"cannot send `{path}`: {f'a {kind} ({reason})' if kind else reason}. {advice}"
    return SerializationError(message, path=path, type_name=kind)


class _Search:
    def __init__(self, refs_allowed: bool) -> None:
        # The real hook has effects, and has had them.
        self._hook = (lambda _: ("ref", "")) if refs_allowed else None
        self._seen: set[int] = set()
        self._tries = _TRIES

    def first_failing(self, parts: Iterable[Part]) -> tuple[Part, Exception] | None:
        for path, value in parts:
            if id(value) in self._seen or self._tries == 0:
                continue
            self._tries -= 1
            try:
                ValuePickler(io.BytesIO(), lambda _: None, self._hook).dump(value)
            except Exception as error:
                self._seen.add(id(value))
                return (path, value), error
        return None


def _parts(path: str, value: Any) -> Iterator[Part]:
    if isinstance(value, Mapping):
        for at, key in enumerate(value):
            yield f"{path}.keys()[{at}]", key
            yield f"{path}[{key!r}]", value[key]
    elif isinstance(value, (list, tuple, set, frozenset)):
        for at, item in enumerate(value):
            yield f"{path}[{at}]", item
    elif isinstance(value, FunctionType):
        yield from _function_parts(path, value)
    elif isinstance(value, MethodType):
        yield f"{path}.__self__", value.__self__
    elif isinstance(value, functools.partial):
        yield f"{path}.func", value.func
        yield from _parts(f"{path}.args", value.args)
        yield from _parts(f"{path}.keywords", value.keywords)
    yield from _attributes(path, value)


def _function_parts(path: str, function: FunctionType) -> Iterator[Part]:
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=False):
        try:
            yield f"{path}.closure.{name}", cell.cell_contents
        except ValueError:
            pass  # a cell that nothing was put into yet
    for name in _global_names(function.__code__):
        if name in function.__globals__:
            yield f"{path}.globals.{name}", function.__globals__[name]
    for at, value in enumerate(function.__defaults__ or ()):
        yield f"{path}.defaults[{at}]", value


def _global_names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _global_names(constant)


def _attributes(path: str, value: Any) -> Iterator[Part]:
    own = getattr(value, "__dict__", None)
    if isinstance(own, Mapping):
        for name, part in list(own.items()):
            if not (isinstance(value, type) and name in ("__dict__", "__weakref__")):
                yield f"{path}.{name}", part
    for kind in inspect.getmro(type(value)):
        slots: Any = kind.__dict__.get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if hasattr(value, name):
                yield f"{path}.{name}", getattr(value, name)


def _advice(culprit: Any) -> str:
    if isinstance(culprit, io.IOBase):
        return "Send its path, and open it in the task or actor."
    if hasattr(type(culprit), "__next__"):
        return "Send a list of what it gives."
    return "Make it in the task or actor that needs it, or leave it out in `__getstate__`."
