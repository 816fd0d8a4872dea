"""One call of a function that is no coroutine, from its arguments to its last reply. And what all ways of running calls share."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
from collections.abc import AsyncIterator, Callable, Generator, Iterable
from itertools import islice
from typing import Any

from ..errors import CancelledError, TwinkleError
from .execute import Execution
from .forks import end_child
from .interrupt import Interrupted, Interrupts


def where_of(execution: Execution, instance: Any) -> str:
    """Who is called, for people."""
    target = execution.invoke.target
    return f"task {target}" if instance is None else f"{type(instance).__name__}.{target}"


def unknown_group(execution: Execution, there: Iterable[str]) -> TwinkleError:
    """The error of a call in a group that is not among those."""
    known = ", ".join(f"`{name}`" for name in there if name) or "none"
    return TwinkleError(
        "INVALID_REQUEST", f"there is no concurrency group `{execution.invoke.group}`; the actor has {known}"
    )


def run_call(
    execution: Execution,
    function: Callable[..., Any],
    where: str,
    send: Callable[[bytes], None],
    interrupts: Interrupts | None = None,
    unwanted: Callable[[], bool] = lambda: False,
) -> None:
    """Run a function, and send what comes of it. With ``interrupts`` it can be cancelled meanwhile; ``unwanted`` is asked between the items
    of a generator: it stops when nobody wants more. Raises SystemExit."""

    def step(work: Callable[[], Any]) -> Any:
        if interrupts is None:
            return work()
        interrupts.begin(execution.invoke.ref)
        try:
            return work()
        finally:
            interrupts.end()

    try:
        args, kwargs = execution.arguments()
        returns = execution.invoke.returns
        if gives_items(function, returns):
            with contextlib.closing(_items(step(lambda: _value(function(*args, **kwargs), None)), step)) as items:
                for item in items:
                    send(execution.item(item))
                    execution.caller.relieve()
                    if unwanted():
                        raise CancelledError(where)
            value = None
        else:
            value = step(lambda: _value(function(*args, **kwargs), returns))
        end_child()
        reply = execution.result(value)
    except SystemExit:
        raise
    except Interrupted:
        reply = execution.failure(CancelledError(where), where)
    except BaseException as error:
        end_child(error)
        reply = execution.failure(error, where)
    send(reply)


def gives_items(function: Any, returns: int | None) -> bool:
    """The caller has asked the same, and takes items only then."""
    if returns is not None:
        return returns < 0
    return inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function)


def gathered(value: Any, count: int) -> list[Any]:
    """The values that a call has returned. Raises ValueError when they are not so many."""
    if count == 0:
        return []  # whatever it was
    try:
        values = list(islice(iter(value), count + 1))
    except TypeError:
        if hasattr(type(value), "__iter__"):
            raise
        raise ValueError(
            f"expected {count} values for `num_returns={count}` but the call returned a {type(value).__name__}; "
            "return a tuple of them"
        ) from None
    if len(values) != count:
        many = f"{len(values)}" if len(values) < count else f"more than {count}"
        raise ValueError(f"expected {count} values for `num_returns={count}` but the call returned {many}")
    return values


async def several(value: Any, count: int) -> list[Any]:
    """The values that a call has returned, as ``gathered``, also of an async generator."""
    if inspect.isasyncgen(value):
        made, value = value, []
        async for item in made:
            value.append(item)
            if len(value) > count:
                break
    return gathered(value, count)


def _value(value: Any, returns: int | None) -> Any:
    if inspect.iscoroutine(value):
        value = asyncio.run(value)
    if returns is None:
        return value
    return asyncio.run(several(value, returns)) if inspect.isasyncgen(value) else gathered(value, returns)


def _items(made: Any, step: Callable[[Callable[[], Any]], Any]) -> Generator[Any]:
    """What a generator yields, each made within ``step``. It is closed with this."""
    if not inspect.isasyncgen(made):
        items = iter(made)
        try:
            while (item := step(lambda: next(items, _END))) is not _END:
                yield item
        finally:
            if inspect.isgenerator(items):
                items.close()
        return
    with asyncio.Runner() as loop:  # its end closes what it has begun
        while (item := step(lambda: loop.run(_next(made)))) is not _END:
            yield item


async def _next(made: AsyncIterator[Any]) -> Any:
    return await anext(made, _END)


_END = object()
