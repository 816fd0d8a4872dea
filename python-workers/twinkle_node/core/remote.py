"""``@remote``: functions that run as tasks, and classes whose instances are actors."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Collection
from typing import Any

import msgspec

from ..errors import ConfigError
from .arguments import lasting, prepared
from .calls import Call
from .client import current
from .exported import export
from .generators import ObjectRefGenerator
from .groups import captured
from .handle import ActorHandle
from .options import ActorOptions, TaskOptions, changed, demand_of, returns_of
from .protocol import ActorCard, ActorSpec
from .runtime_env import Surrounded
from .several import SeveralCall

ASYNC_CONCURRENCY = 1000
_OPTIONS = "__twinkle_method_options__"


def remote(*args: Any, **options: Any) -> Any:
    """A function as a task, or a class as an actor: ``@remote``, or ``@remote(num_gpus=1, …)``. Raises ConfigError for wrong options."""
    if len(args) == 1 and not options and callable(args[0]):
        return _wrapped(args[0], {})
    if args:
        raise ConfigError("CONFIG_INVALID", "expected `@remote` or `@remote(name=value, …)`: options go by their names")
    return lambda target: _wrapped(target, options)


def method(**options: Any) -> Any:
    """Options of an actor's method: ``@method(concurrency_group="io", num_returns=2)``."""
    unknown = [name for name in options if name not in ("concurrency_group", "num_returns")]
    if unknown:
        there = "it has concurrency_group and num_returns"
        raise ConfigError("CONFIG_INVALID", f"unknown option `{unknown[0]}` of a method; {there}")
    returns_of(options.get("num_returns"), False)

    def mark(function: Any) -> Any:
        setattr(function, _OPTIONS, options)
        return function

    return mark


def _wrapped(target: Any, options: dict[str, Any]) -> Any:
    if inspect.isclass(target):
        return ActorClass(target, changed(ActorOptions(), options))
    if callable(target):
        return RemoteFunction(target, changed(TaskOptions(), options))
    raise ConfigError("CONFIG_INVALID", f"expected a function or a class for `@remote` but received {target!r}")


class RemoteFunction:
    """``function.remote(...)`` runs it as a task; ``function.options(...)`` is the same with other options."""

    def __init__(self, function: Any, options: TaskOptions) -> None:
        self._function = function
        self._options = options
        self._demand = Surrounded(demand_of(options, 1), options.runtime_env)
        generates = _generates(function)
        self._returns = returns_of(options.num_returns, generates)
        self._generates = self._returns == -1 or (generates and self._returns is None)
        functools.update_wrapper(self, function)

    def __call__(self, *_: Any, **__: Any) -> Any:
        raise TypeError(f"a remote function is not called directly: write {self._function.__name__}.remote(...)")

    def options(self, **options: Any) -> RemoteFunction:
        """Raises ConfigError for what is none."""
        return RemoteFunction(self._function, changed(self._options, options))

    def remote(self, *args: Any, **kwargs: Any) -> Any:
        """Run it. Returns an ObjectRef at once, of a generator an ObjectRefGenerator, with ``num_returns`` a list of ObjectRefs."""
        client = current()
        exported = export(self._function)
        key = client.export(exported)
        arguments, given, keep = prepared(client.objects, args, kwargs)
        ref = client.objects.new_ref()
        options = self._options
        name = options.name or exported.name
        lane = client.ways.lane(captured(self._demand.of(client), options.scheduling_strategy))
        if self._returns is not None and self._returns >= 0:
            several = SeveralCall(self._returns, ref.slot, key, name, arguments, given, keep, options.max_retries)
            several.again = options.retry_exceptions
            return client.calls.submit_several(lane, several)
        items = ObjectRefGenerator(client, ref) if self._generates else None
        call = Call(ref.slot, key, name, arguments, given, keep, options.max_retries)
        call.again = options.retry_exceptions
        call.returns = self._returns
        call.items = None if items is None else items.take
        client.calls.submit(lane, call)
        return ref if items is None else items

    def __reduce__(self) -> tuple[Any, ...]:
        return RemoteFunction, (self._function, self._options)

    @property
    def __twinkle_remote__(self) -> Any:
        """The function itself: for who names it."""
        return self._function


class ActorClass:
    """``Class.remote(...)`` makes an actor of it; ``Class.options(...)`` is the same with other options."""

    def __init__(self, cls: type, options: ActorOptions) -> None:
        self._cls = cls
        self._options = options
        self._demand = Surrounded(demand_of(options, 0), options.runtime_env)
        self.__name__ = cls.__name__
        self.__doc__ = cls.__doc__

    def __call__(self, *_: Any, **__: Any) -> Any:
        raise TypeError(f"an actor is not made directly: write {self._cls.__name__}.remote(...)")

    def options(self, **options: Any) -> ActorClass:
        """Raises ConfigError for what is none."""
        return ActorClass(self._cls, changed(self._options, options))

    def remote(self, *args: Any, **kwargs: Any) -> ActorHandle:
        """Make an actor. Returns its handle at once; what its constructor raises is raised by its calls. Raises TwinkleError for a name
        that is taken."""
        client = current()
        options = self._options
        exported = export(self._cls)
        key = client.export(exported)
        arguments = lasting(client.objects, args, kwargs)
        methods, is_async = methods_of(self._cls, options.concurrency_groups or (), options.max_pending_calls)
        concurrency = options.max_concurrency or (ASYNC_CONCURRENCY if is_async else 1)
        spec = ActorSpec(
            id=client.objects.new_id(),
            cls=key,
            cls_name=self._cls.__name__,
            methods=methods,
            args=arguments.value,
            name=options.name or "",
            namespace=options.namespace or client.namespace,
            detached=options.lifetime == "detached",
            get_if_exists=options.get_if_exists,
            max_restarts=options.max_restarts,
            max_task_retries=options.max_task_retries,
            max_concurrency=concurrency,
            groups=dict(options.concurrency_groups or {}),
            demand=captured(self._demand.of(client), options.scheduling_strategy),
        )
        answer, _ = client.link.call("actor.create", spec, arguments.parts)
        arguments.keep.clear()  # the node has them, and keeps what they refer to
        return client.handle(msgspec.convert(answer, ActorCard), held=True)

    def __reduce__(self) -> tuple[Any, ...]:
        return ActorClass, (self._cls, self._options)

    @property
    def __twinkle_remote__(self) -> Any:
        """The class itself: for who names it."""
        return self._cls


def methods_of(cls: type, groups: Collection[str], limit: int) -> tuple[dict[str, Any], bool]:
    """(what handles have to know of each method, whether any is a coroutine). Raises ConfigError for an unknown group."""
    found: dict[str, Any] = {}
    is_async = False
    for name, member in inspect.getmembers(cls, callable):
        if name.startswith("__") and name != "__call__":
            continue
        generates = _generates(member)
        is_async = is_async or inspect.iscoroutinefunction(member) or inspect.isasyncgenfunction(member)
        own = getattr(member, _OPTIONS, {})
        group = own.get("concurrency_group", "")
        returns = returns_of(own.get("num_returns"), generates)
        if group and group not in groups:
            raise ConfigError(
                "CONFIG_INVALID",
                f"`{cls.__name__}.{name}` names the concurrency group `{group}`, which `concurrency_groups` does not have",
            )
        found[name] = {"gen": generates, "group": group, "limit": limit}
        if returns is not None:
            found[name]["returns"] = returns
    return found, is_async


def _generates(function: Any) -> bool:
    return inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function)
