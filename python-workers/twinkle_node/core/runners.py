"""How a worker runs calls: one after another, by threads, or as coroutines of one loop."""

from __future__ import annotations

import asyncio
import inspect
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Protocol

from ..errors import CancelledError
from .client import Client
from .execute import Execution
from .protocol import ActorSpec

if TYPE_CHECKING:
    from .worker import Caller, Worker

BATCH_BYTES = 1 << 16
BATCH_S = 0.001
"""Replies wait for each other while calls wait, but no longer."""


class Runner(Protocol):
    """Told by the worker's main thread, but for ``interrupts``."""

    def submit(self, execution: Execution) -> None: ...

    def withdraw(self, caller: Caller, number: int) -> None: ...

    def run(self, worker: Worker) -> None:
        """Something came: do what is to be done here."""
        ...

    def serve(self, worker: Worker) -> None:
        """Take the main thread for good, or leave it as it is."""
        ...

    def interrupts(self, client: int, number: int) -> bool:
        """Whether that call runs now and the main thread has to be interrupted for it. In any thread."""
        ...

    def interrupted(self) -> bool:
        """In the main thread's signal handler: whether it is still the call that was meant."""
        ...


def runner_of(instance: Any, spec: ActorSpec, client: Client) -> Runner:
    """What an actor needs: coroutines among its methods, or several calls at once, or neither."""
    members = (member for _, member in inspect.getmembers(type(instance), callable))
    if any(inspect.iscoroutinefunction(member) or inspect.isasyncgenfunction(member) for member in members):
        return AsyncRunner(instance, spec)
    if spec.max_concurrency > 1 or spec.groups:
        return ThreadRunner(instance, spec)
    return SerialRunner(instance, client)


def _where(execution: Execution, instance: Any) -> str:
    target = execution.invoke.target
    return f"task {target}" if instance is None else f"{type(instance).__name__}.{target}"


def _results(execution: Execution, function: Callable[..., Any], where: str, send: Callable[[bytes], None]) -> None:
    """Run a function that is no coroutine, and send what comes of it."""
    try:
        args, kwargs = execution.arguments()
        value = function(*args, **kwargs)
        if inspect.iscoroutine(value):
            value = asyncio.run(value)
        if inspect.isgenerator(value):
            for item in value:
                send(execution.item(item))
            value = None
        reply = execution.result(value)
    except Exception as error:
        reply = execution.failure(error, where)
    send(reply)


class SerialRunner:
    """One call at a time, in the main thread, in the order in which they came."""

    def __init__(self, instance: Any, client: Client) -> None:
        self._instance = instance
        self._client = client
        self._queue: deque[Execution] = deque()
        self._withdrawn: set[tuple[int, int]] = set()
        self._running: Execution | None = None
        self._meant: Execution | None = None
        self._replies: dict[Caller, list[bytes]] = {}
        self._bytes = 0
        self._first = 0.0

    def submit(self, execution: Execution) -> None:
        self._queue.append(execution)

    def withdraw(self, caller: Caller, number: int) -> None:
        self._withdrawn.add((caller.client, number))

    def run(self, worker: Worker) -> None:
        while self._queue:
            execution = self._queue.popleft()
            key = (execution.caller.client, execution.invoke.id)
            if key in self._withdrawn:
                self._withdrawn.discard(key)
                self._keep(execution.caller, execution.failure(CancelledError(_where(execution, self._instance)), ""))
            else:
                self._execute(execution)
            if not self._queue:
                worker.poll()  # what came meanwhile, cancellations among it
        self._withdrawn.clear()
        self._flush()

    def serve(self, worker: Worker) -> None:
        pass

    def interrupts(self, client: int, number: int) -> bool:
        running = self._running
        if self._instance is not None or running is None:
            return False  # Ray leaves an actor's method alone, too: its state would be half changed
        if (running.caller.client, running.invoke.id) != (client, number):
            return False
        self._meant = running
        return True

    def interrupted(self) -> bool:
        return self._meant is not None and self._meant is self._running

    def _execute(self, execution: Execution) -> None:
        instance = self._instance
        caller = execution.caller
        where = _where(execution, instance)
        self._client.before_waiting = self._blocked
        self._running = execution
        try:
            if instance is None:
                function = self._client.fetch_code(execution.invoke.target)
                where = f"task {getattr(function, '__qualname__', execution.invoke.target)}"
            else:
                function = getattr(instance, execution.invoke.target)
        except Exception as error:
            self._running = None
            self._keep(caller, execution.failure(error, where))
            return
        try:
            _results(execution, function, where, lambda reply: self._keep(caller, reply))
        except CancelledError as error:  # between two steps of ours
            self._keep(caller, execution.failure(error, where))
        finally:
            self._running = None

    def _blocked(self) -> None:
        """The call waits for others: its results of before must not."""
        self._flush()
        if self._instance is None:
            self._client.link.tell("blocked", {})

    def _keep(self, caller: Caller, reply: bytes) -> None:
        if not self._replies:
            self._first = time.monotonic()
        self._replies.setdefault(caller, []).append(reply)
        self._bytes += len(reply)
        if not self._queue or self._bytes > BATCH_BYTES or time.monotonic() - self._first > BATCH_S:
            self._flush()

    def _flush(self) -> None:
        replies, self._replies = self._replies, {}
        self._bytes = 0
        for caller, frames in replies.items():
            caller.stream.send(frames[0] if len(frames) == 1 else b"".join(frames))


class ThreadRunner:
    """Several calls at once, each in a thread; groups have threads of their own."""

    def __init__(self, instance: Any, spec: ActorSpec) -> None:
        self._instance = instance
        sizes = {"": max(1, spec.max_concurrency), **spec.groups}
        self._pools = {name: ThreadPoolExecutor(size, f"actor-{name or 'calls'}") for name, size in sizes.items()}
        self._waiting: dict[tuple[int, int], Execution] = {}
        self._lock = threading.Lock()

    def submit(self, execution: Execution) -> None:
        with self._lock:
            self._waiting[execution.caller.client, execution.invoke.id] = execution
        pool = self._pools.get(execution.invoke.group, self._pools[""])
        pool.submit(self._execute, execution)

    def withdraw(self, caller: Caller, number: int) -> None:
        with self._lock:
            execution = self._waiting.pop((caller.client, number), None)
        if execution is not None:
            where = _where(execution, self._instance)
            caller.stream.send(execution.failure(CancelledError(where), where))

    def run(self, worker: Worker) -> None:
        pass

    def serve(self, worker: Worker) -> None:
        pass

    def interrupts(self, client: int, number: int) -> bool:
        return False

    def interrupted(self) -> bool:
        return False

    def _execute(self, execution: Execution) -> None:
        with self._lock:
            if self._waiting.pop((execution.caller.client, execution.invoke.id), None) is None:
                return
        where = _where(execution, self._instance)
        try:
            function = getattr(self._instance, execution.invoke.target)
        except AttributeError as error:
            execution.caller.stream.send(execution.failure(error, where))
            return
        _results(execution, function, where, execution.caller.stream.send)


class AsyncRunner:
    """Calls as coroutines of one loop in the main thread; methods that are none hold it up."""

    def __init__(self, instance: Any, spec: ActorSpec) -> None:
        self._instance = instance
        self._limits = {"": max(1, spec.max_concurrency), **spec.groups}
        self._semaphores: dict[str, asyncio.Semaphore] = {}
        self._tasks: dict[tuple[int, int], asyncio.Task[None]] = {}
        self._loop: asyncio.AbstractEventLoop | None = None

    def submit(self, execution: Execution) -> None:
        if self._loop is None:
            return
        key = (execution.caller.client, execution.invoke.id)
        task = self._loop.create_task(self._execute(execution))
        self._tasks[key] = task
        task.add_done_callback(lambda _: self._tasks.pop(key, None))

    def withdraw(self, caller: Caller, number: int) -> None:
        task = self._tasks.get((caller.client, number))
        if task is not None:
            task.cancel()

    def run(self, worker: Worker) -> None:
        pass

    def serve(self, worker: Worker) -> None:
        asyncio.run(self._serve(worker))

    def interrupts(self, client: int, number: int) -> bool:
        return False

    def interrupted(self) -> bool:
        return False

    async def _serve(self, worker: Worker) -> None:
        loop = asyncio.get_running_loop()
        self._loop = loop
        self._semaphores = {name: asyncio.Semaphore(limit) for name, limit in self._limits.items()}
        loop.add_reader(worker.fileno(), worker.poll)
        await loop.create_future()  # the process ends otherwise

    async def _execute(self, execution: Execution) -> None:
        where = _where(execution, self._instance)
        send = execution.caller.stream.send
        try:
            async with self._semaphores.get(execution.invoke.group, self._semaphores[""]):
                args, kwargs = execution.arguments()
                value = getattr(self._instance, execution.invoke.target)(*args, **kwargs)
                if inspect.isasyncgen(value):
                    async for item in value:
                        send(execution.item(item))
                    value = None
                elif inspect.isgenerator(value):
                    for item in value:
                        send(execution.item(item))
                    value = None
                elif inspect.isawaitable(value):
                    value = await value
                reply = execution.result(value)
        except asyncio.CancelledError:
            reply = execution.failure(CancelledError(where), where)
        except Exception as error:
            reply = execution.failure(error, where)
        send(reply)
