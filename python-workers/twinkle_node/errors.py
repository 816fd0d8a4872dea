"""What the server says is wrong, as exceptions."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .core.failure import PackedError


class TwinkleError(Exception):
    """An error with a code of docs/errors.md, in the server's words.

    ``code`` is the word in the table, ``details`` facts for programs, ``exit_code`` what the server's process ended with (None: it runs).
    """

    def __init__(
        self, code: str, message: str, details: dict[str, Any] | None = None, exit_code: int | None = None
    ) -> None:
        super().__init__(f"{message} [{code}]")
        self.code = code
        self.message = message
        self.details = details or {}
        self.exit_code = exit_code


class ConfigError(TwinkleError, ValueError):
    """A configuration that the server refuses: wrong in itself, or not possible on these machines."""


class SerializationError(TwinkleError, TypeError):
    """A value that cannot travel to another process.

    ``path`` says where in the value (``arg[1].lock``), ``type_name`` what lies there (``_thread.lock``).
    """

    def __init__(self, message: str, *, path: str = "value", type_name: str = "") -> None:
        super().__init__("SERIALIZATION", message, {"path": path, "type": type_name})
        self.path = path
        self.type_name = type_name


class TaskError(TwinkleError):
    """A task or an actor's method raised in another process.

    What is caught is usually of a class made on the way: a TaskError and of the class that was raised, with its attributes
    (``except ValueError`` works). ``__cause__`` is the exception as it was raised, if it could travel; ``str()`` shows the
    remote traceback.
    """

    def __init__(self, report: PackedError) -> None:
        super().__init__("TASK_FAILED", report.message, {"type": report.type, "where": report.where})
        self._report = report

    @property
    def remote_type(self) -> str:
        """Name of the class that was raised, with its module unless that is ``builtins``."""
        return self._report.type

    @property
    def remote_message(self) -> str:
        """``str()`` of what was raised."""
        return self._report.message

    @property
    def remote_traceback(self) -> str:
        """The traceback as it was formatted where it happened."""
        return self._report.traceback

    @property
    def remote_where(self) -> str:
        """Which task or actor it was, and on which process."""
        return self._report.where

    def __str__(self) -> str:
        report = self._report
        said = f"{report.type}: {report.message}" if report.message else report.type
        return f"{report.where} raised {said}\n\nThe traceback over there:\n{report.traceback.rstrip()}"

    def __reduce_ex__(self, protocol: object) -> tuple[Any, ...]:
        # The class may be one that no other process has, so the report travels.
        from .core.failure import unpack_error

        return unpack_error, (self._report,)


_CONFIG = frozenset(("USAGE", "CONFIG_INVALID", "PLACEMENT_INVALID", "DEVICE_MISSING", "INFEASIBLE"))


def server_error(event: dict[str, Any]) -> TwinkleError:
    """The exception for an ``error`` event of ``serve --json``."""
    code = str(event.get("code", "INTERNAL"))
    kind = ConfigError if code in _CONFIG else TwinkleError
    # Lines of what we wrote for the server mean nothing to whoever wrote Python.
    message = re.sub(r"\bstdin:\d+:\d+: ", "", str(event.get("message", "")))
    return kind(code, message, event.get("details"), event.get("exit"))


def refused(code: str, message: str, details: dict[str, Any] | None = None) -> TwinkleError:
    """The exception for what the node refuses."""
    return RuntimeEnvSetupError(message) if code == "RUNTIME_ENV" else TwinkleError(code, message, details)


class ActorDiedError(TwinkleError):
    """An actor is dead, or this life of it ended before the call was answered (``restarting``: it comes back).

    ``__cause__`` is what its constructor raised, if it did.
    """

    def __init__(
        self,
        actor: str,
        cls_name: str,
        reason: str,
        *,
        node: str = "",
        pid: int | None = None,
        restarting: bool = False,
    ) -> None:
        where = f" on node {node}" if node else ""
        which = f"{where}, pid {pid}" if pid is not None else where
        what = "was interrupted and is started again" if restarting else "is dead"
        details = {"actor": actor, "class": cls_name, "reason": reason, "node": node, "pid": pid}
        super().__init__("ACTOR_DIED", f"actor {actor} ({cls_name}{which}) {what}: {reason}", details)
        self.actor = actor
        self.reason = reason
        self.node = node
        self.pid = pid
        self.restarting = restarting
        self._cls_name = cls_name

    def __reduce__(self) -> tuple[Any, ...]:
        told = {"node": self.node, "pid": self.pid, "restarting": self.restarting}
        return _rebuilt, (ActorDiedError, (self.actor, self._cls_name, self.reason), told)


class WorkerDiedError(TwinkleError):
    """The process that ran a task ended, and the task may not be tried again."""

    def __init__(self, task: str, node: str, pid: int, how: str) -> None:
        details = {"task": task, "node": node, "pid": pid, "how": how}
        super().__init__("WORKER_DIED", f"the worker of {task} ended on node {node}, pid {pid}: {how}", details)
        self._told = (task, node, pid, how)

    def __reduce__(self) -> tuple[Any, ...]:
        return WorkerDiedError, self._told


class RuntimeEnvSetupError(TwinkleError):
    """What a task or an actor asks for in ``runtime_env`` could not be made: a package that is not to be had, most often."""

    def __init__(self, message: str) -> None:
        super().__init__("RUNTIME_ENV", message)

    def __reduce__(self) -> tuple[Any, ...]:
        return RuntimeEnvSetupError, (self.message,)


class GetTimeoutError(TwinkleError, TimeoutError):
    """A value was not there in time."""

    def __init__(self, message: str) -> None:
        super().__init__("DEADLINE_EXCEEDED", message)

    def __reduce__(self) -> tuple[Any, ...]:
        return GetTimeoutError, (self.message,)


class CancelledError(TwinkleError):
    """A call was cancelled, by ``tn.cancel``, before it had a result."""

    def __init__(self, what: str) -> None:
        super().__init__("ABORTED", f"{what} was cancelled")
        self._what = what

    def __reduce__(self) -> tuple[Any, ...]:
        return CancelledError, (self._what,)


def _rebuilt(kind: type, args: tuple[Any, ...], named: dict[str, Any]) -> Any:
    return kind(*args, **named)
