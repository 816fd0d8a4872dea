"""Exceptions as what travels: text for people, and the exception itself for `except`."""

from __future__ import annotations

import functools
import pickle
import traceback
import types
from typing import Any, TypeVar

import msgspec

from ..errors import TaskError
from .names import type_name
from .pickler import dumps

MAX_PICKLED = 1 << 20
"""Bytes of a pickled exception; a larger one travels as text alone."""

_MAX_MESSAGE = 16_384
_MAX_TRACEBACK = 65_536

# Like what is no Exception (SystemExit, CancelledError), these steer the process that raises them: they come back as a cause only.
_NOT_REPEATED = (StopIteration, StopAsyncIteration)

Raised = TypeVar("Raised", bound=BaseException)


class PackedError(msgspec.Struct, frozen=True):
    """What was raised: name of its class, message, formatted traceback, where that was, and the exception pickled if it can be."""

    type: str
    message: str
    traceback: str
    where: str
    pickled: bytes | None = None


def pack_error(exc: BaseException, *, where: str) -> PackedError:
    """Packs an exception; never raises one. ``where`` names the task or actor and its process, for people.

    An exception that cannot be pickled and read again travels without its constructor: class, args and those attributes that can travel.
    """
    if isinstance(exc, TaskError):
        kind, message = exc.remote_type, exc.remote_message
    else:
        kind, message = type_name(type(exc)), _text_of(exc)
    return PackedError(kind, _shortened(message, _MAX_MESSAGE), _traceback_of(exc), where, _pickled(exc))


def unpack_error(report: PackedError) -> TaskError:
    """The exception to raise here: a TaskError, and of the class that was raised where that is possible."""
    cause = _loaded(report.pickled)
    if cause is None:
        return TaskError(report)
    error = _like(cause, report)
    if error is None:  # not `or`: an exception may be false
        error = TaskError(report)
    _set(error, "__cause__", cause)
    return error


def again(error: BaseException) -> BaseException:
    """The same exception, to be raised once more: what raises it adds its frames to it, and one that is kept would keep them."""
    members = {name: value for name, value in _members(error).items() if value is not None}
    fresh = _without_constructor(type(error), error.args, members, error.__dict__)
    fresh.__cause__ = error.__cause__
    return fresh


def _like(cause: BaseException, report: PackedError) -> TaskError | None:
    """A TaskError of the class of ``cause``, with its state; its constructor is not called."""
    shown: BaseException = cause
    while isinstance(shown, TaskError) and shown.__cause__ is not None:
        shown = shown.__cause__  # of a task that the task called
    if not isinstance(shown, Exception) or isinstance(shown, (TaskError, *_NOT_REPEATED)):
        return None
    try:
        kind = _task_error_class(type(shown))
        error = kind.__new__(kind, *shown.args)
        error.__dict__.update(TaskError(report).__dict__)
        _copy_state(shown, error)
        error.__dict__["_report"] = report
        str(error)
        return error
    except Exception:
        return None  # its class allows no subclass, or none that is made without its constructor


@functools.lru_cache(maxsize=256)
def _task_error_class(kind: type[BaseException]) -> Any:
    def describe(namespace: dict[str, Any]) -> None:
        namespace.update(
            __module__=kind.__module__, __qualname__=f"TaskError[{kind.__qualname__}]", __doc__=kind.__doc__
        )

    return types.new_class(f"TaskError[{kind.__name__}]", (TaskError, kind), exec_body=describe)


def _copy_state(source: BaseException, target: BaseException) -> None:
    """args and attributes. Notes stay with the cause, which is shown beside it."""
    _set(target, "args", source.args)
    _set_members(target, _members(source))
    target.__dict__.update((name, value) for name, value in source.__dict__.items() if name != "__notes__")


def _members(exc: BaseException) -> dict[str, Any]:
    """What C or __slots__ keep, which is in no ``__dict__``: ``OSError.errno``."""
    found: dict[str, Any] = {}
    for kind in type(exc).__mro__:
        if kind in (BaseException, object):
            continue
        for name, member in vars(kind).items():
            if isinstance(member, (types.MemberDescriptorType, types.GetSetDescriptorType)) and not name.startswith(
                "__"
            ):
                try:
                    found[name] = member.__get__(exc)
                except AttributeError:
                    pass  # nothing was put there
    return found


def _set_members(target: BaseException, members: dict[str, Any]) -> None:
    for name, value in members.items():
        try:
            _set(target, name, value)
        except (AttributeError, TypeError):
            pass  # __new__ has set it, and nobody else may


def _set(target: BaseException, name: str, value: Any) -> None:
    # Past a __setattr__ that refuses, as that of a frozen dataclass does.
    BaseException.__setattr__(target, name, value)


def _pickled(exc: BaseException) -> bytes | None:
    return _sendable(exc) or _sendable(_Bare(exc))


def _sendable(value: Any) -> bytes | None:
    """The stream, if it gives an exception when it is read."""
    try:
        stream = dumps(value)
    except (Exception, SystemExit):
        return None
    return stream if len(stream) <= MAX_PICKLED and _loaded(stream) is not None else None


def _loaded(stream: bytes | None) -> BaseException | None:
    """Reading runs code of whoever wrote the class: what it raises is no concern of the caller's."""
    if stream is None:
        return None
    try:
        value = pickle.loads(stream)
    except (Exception, SystemExit):
        return None
    return value if isinstance(value, BaseException) else None


class _Bare:
    """Stands for an exception in a stream, and is read as one that was made without its constructor."""

    def __init__(self, exc: BaseException) -> None:
        self._exc = exc

    def __reduce__(self) -> tuple[Any, ...]:
        exc = self._exc
        args = tuple(arg if _travels(arg) else _repr_of(arg) for arg in exc.args)
        members, state = (
            {name: value for name, value in part.items() if _travels(value)} for part in (_members(exc), exc.__dict__)
        )
        return _without_constructor, (type(exc), args, members, state)


def _without_constructor(
    kind: type[Raised], args: tuple[Any, ...], members: dict[str, Any], state: dict[str, Any]
) -> Raised:
    exc = kind.__new__(kind, *args)
    _set(exc, "args", args)
    _set_members(exc, members)
    exc.__dict__.update(state)
    return exc


def _travels(value: Any) -> bool:
    try:
        pickle.loads(dumps(value))
    except (Exception, SystemExit):
        return False
    return True


def _text_of(exc: BaseException) -> str:
    try:
        return str(exc)
    except Exception as error:
        return f"(its message cannot be had: {type_name(type(error))})"


def _repr_of(value: Any) -> str:
    try:
        return _shortened(repr(value), 200)
    except Exception:
        return f"<{type_name(type(value))}>"


def _traceback_of(exc: BaseException) -> str:
    try:
        return _shortened("".join(traceback.format_exception(exc)), _MAX_TRACEBACK)
    except Exception as error:
        return f"(the traceback cannot be had: {type_name(type(error))})\n"


def _shortened(text: str, limit: int) -> str:
    """Valid Unicode of at most about ``limit`` characters: both ends of it."""
    text = text.encode("utf-8", "backslashreplace").decode()
    if len(text) <= limit:
        return text
    half = limit // 2
    return f"{text[:half]}\n[... {len(text) - 2 * half} characters left out ...]\n{text[-half:]}"
