"""One call of a function that is no coroutine, from its arguments to its last reply. And what all ways of running calls share."""

from __future__ import annotations

import asyncio
import inspect
import os
import sys
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from typing import Any, NoReturn

from ..errors import CancelledError, TwinkleError
from .execute import Execution
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


def leave(end: SystemExit) -> NoReturn:
    """``sys.exit()`` in a call ends the worker: its callers hear of that by the end of the process."""
    if end.code is not None and not isinstance(end.code, int):
        print(end.code, file=sys.stderr)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(end.code if isinstance(end.code, int) else int(end.code is not None))


def run_call(
    execution: Execution,
    function: Callable[..., Any],
    where: str,
    send: Callable[[bytes], None],
    interrupts: Interrupts | None = None,
) -> None:
    """Run a function, and send what comes of it. With ``interrupts`` it can be cancelled meanwhile. Raises SystemExit."""

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
        if _generates(function):
            for item in _items(function(*args, **kwargs), step):
                send(execution.item(item))
                execution.caller.relieve()
            reply = execution.result(None)
        else:
            reply = execution.result(step(lambda: _value(function(*args, **kwargs))))
    except SystemExit:
        raise
    except Interrupted:
        reply = execution.failure(CancelledError(where), where)
    except BaseException as error:
        reply = execution.failure(error, where)
    send(reply)


def _value(value: Any) -> Any:
    return asyncio.run(value) if inspect.iscoroutine(value) else value


def _generates(function: Any) -> bool:
    """The caller has asked the same, and takes items only then."""
    return inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function)


def _items(made: Any, step: Callable[[Callable[[], Any]], Any]) -> Iterator[Any]:
    """What a generator yields, each made within ``step``."""
    if inspect.isgenerator(made):
        while (item := step(lambda: next(made, _END))) is not _END:
            yield item
        return
    with asyncio.Runner() as loop:
        while (item := step(lambda: loop.run(_next(made)))) is not _END:
            yield item


async def _next(made: AsyncIterator[Any]) -> Any:
    return await anext(made, _END)


_END = object()
