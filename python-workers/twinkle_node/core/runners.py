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
from .exiting import leave
from .forks import end_child
from .interrupt import Interrupts
from .protocol import ActorSpec
from .replies import Replies
from .run_call import gives_items, run_call, several, unknown_group, where_of
from .running import runs_alone, runs_here

if TYPE_CHECKING:
    from .worker import Caller, Worker

LOOK_S = 0.001
"""Between calls the main thread looks that often for cancellations of those that wait."""

CROWDED_S = 0.005
"""A coroutine whose caller is slow looks that often whether it has caught up."""


class Runner(Protocol):
    """Told by the worker's main thread."""

    def submit(self, execution: Execution) -> None: ...

    def withdraw(self, caller: Caller, number: int) -> None: ...

    def run(self, worker: Worker) -> None:
        """Something came: do what is to be done here."""
        ...

    def serve(self, worker: Worker) -> None:
        """Take the main thread for good, or leave it as it is."""
        ...


def runner_of(instance: Any, spec: ActorSpec, client: Client) -> Runner:
    """What an actor needs: coroutines among its methods, or several calls at once, or neither."""
    members = (member for _, member in inspect.getmembers(type(instance), callable))
    if any(inspect.iscoroutinefunction(member) or inspect.isasyncgenfunction(member) for member in members):
        return AsyncRunner(instance, spec)
    if spec.max_concurrency > 1 or spec.groups:
        return ThreadRunner(instance, spec)
    return SerialRunner(instance, client)


class SerialRunner:
    """One call at a time, in the main thread, in the order in which they came. Without an instance they are tasks."""

    def __init__(self, instance: Any, client: Client, interrupts: Interrupts | None = None) -> None:
        """``interrupts``: of tasks. Ray leaves an actor's method alone, too: its state would be half changed."""
        self._instance = instance
        self._client = client
        self._interrupts = interrupts
        self._queue: deque[Execution] = deque()
        self._withdrawn: set[tuple[Caller, int]] = set()
        self._replies = Replies()

    def submit(self, execution: Execution) -> None:
        self._queue.append(execution)

    def withdraw(self, caller: Caller, number: int) -> None:
        self._withdrawn.add((caller, number))

    def run(self, worker: Worker) -> None:
        self._client.before_waiting = self._blocked
        looked = time.monotonic()
        while self._queue:
            execution = self._queue.popleft()
            key = (execution.caller, execution.invoke.id)
            if key in self._withdrawn:
                self._withdrawn.discard(key)
                where = where_of(execution, self._instance)
                self._send(execution, execution.failure(CancelledError(where), where))
            else:
                self._execute(execution, worker)
                del execution  # and with it what it has borrowed
                worker.settle()
            if not self._queue or time.monotonic() - looked > LOOK_S:
                worker.poll()  # what came meanwhile, cancellations among it
                looked = time.monotonic()
        self._withdrawn.clear()

    def serve(self, worker: Worker) -> None:
        pass

    def _execute(self, execution: Execution, worker: Worker) -> None:
        where = where_of(execution, self._instance)
        try:
            if self._instance is None:
                function = self._client.fetch_code(execution.invoke.target)
                where = f"task {getattr(function, '__qualname__', execution.invoke.target)}"
            else:
                function = getattr(self._instance, execution.invoke.target)
        except Exception as error:
            self._send(execution, execution.failure(error, where))
            return
        runs_alone(execution.invoke.ref)
        try:
            unwanted = self._unwanted(execution, worker)
            run_call(execution, function, where, lambda reply: self._send(execution, reply), self._interrupts, unwanted)
        except SystemExit as end:
            self._replies.flush()
            leave(end)
        finally:
            runs_alone("")

    def _unwanted(self, execution: Execution, worker: Worker) -> Callable[[], bool]:
        key = (execution.caller, execution.invoke.id)
        looked = time.monotonic()

        def look() -> bool:
            nonlocal looked
            if time.monotonic() - looked > LOOK_S:
                self._replies.flush()
                worker.poll()  # nobody else reads what callers say
                looked = time.monotonic()
            return key in self._withdrawn or execution.caller.stream.ended

        return look

    def _blocked(self) -> None:
        """The call waits for others: its results of before must not."""
        self._replies.flush()
        if self._instance is None:
            self._client.link.tell("blocked", {})

    def _send(self, execution: Execution, reply: bytes) -> None:
        self._replies.add(execution.caller, reply, len(self._queue) > 0)


class ThreadRunner:
    """Several calls at once, each in a thread; groups have threads of their own."""

    def __init__(self, instance: Any, spec: ActorSpec) -> None:
        self._instance = instance
        sizes = {"": max(1, spec.max_concurrency), **spec.groups}
        self._pools = {name: ThreadPoolExecutor(size, f"actor-{name or 'calls'}") for name, size in sizes.items()}
        self._groups = _groups_of(spec)
        self._waiting: dict[tuple[Caller, int], Execution] = {}
        self._running: dict[tuple[Caller, int], threading.Event] = {}  # set: nobody wants more of it
        self._lock = threading.Lock()

    def submit(self, execution: Execution) -> None:
        invoke = execution.invoke
        pool = self._pools.get(invoke.group or self._groups.get(invoke.target, ""))
        if pool is None:
            error, where = unknown_group(execution, self._pools), where_of(execution, self._instance)
            execution.caller.stream.send(execution.failure(error, where))
            return
        with self._lock:
            self._waiting[execution.caller, execution.invoke.id] = execution
        pool.submit(self._execute, execution)

    def withdraw(self, caller: Caller, number: int) -> None:
        with self._lock:
            execution = self._waiting.pop((caller, number), None)
            running = self._running.get((caller, number))
        if running is not None:
            running.set()
        if execution is not None:
            where = where_of(execution, self._instance)
            caller.stream.send(execution.failure(CancelledError(where), where))

    def run(self, worker: Worker) -> None:
        pass

    def serve(self, worker: Worker) -> None:
        pass

    def _execute(self, execution: Execution) -> None:
        caller, key = execution.caller, (execution.caller, execution.invoke.id)
        stopped = threading.Event()
        with self._lock:
            if self._waiting.pop(key, None) is None:
                return
            self._running[key] = stopped
        where = where_of(execution, self._instance)
        runs_here(execution.invoke.ref)
        try:
            function = getattr(self._instance, execution.invoke.target)
            unwanted = lambda: stopped.is_set() or caller.stream.ended  # noqa: E731
            run_call(execution, function, where, caller.stream.send, None, unwanted)
        except SystemExit as end:
            leave(end)
        except Exception as error:  # the method is not there
            caller.stream.send(execution.failure(error, where))
        finally:
            with self._lock:
                del self._running[key]


class AsyncRunner:
    """Calls as coroutines of one loop in the main thread; methods that are none hold it up."""

    def __init__(self, instance: Any, spec: ActorSpec) -> None:
        self._instance = instance
        self._limits = {"": max(1, spec.max_concurrency), **spec.groups}
        self._groups = _groups_of(spec)
        self._semaphores: dict[str, asyncio.Semaphore] = {}
        self._tasks: dict[tuple[Caller, int], asyncio.Task[None]] = {}
        self._loop: asyncio.AbstractEventLoop | None = None

    def submit(self, execution: Execution) -> None:
        if self._loop is None:
            return
        key = (execution.caller, execution.invoke.id)
        task = self._loop.create_task(self._execute(execution))
        self._tasks[key] = task
        task.add_done_callback(lambda task: self._over(task, key, execution))

    def withdraw(self, caller: Caller, number: int) -> None:
        task = self._tasks.get((caller, number))
        if task is not None:
            task.cancel()

    def _over(self, task: asyncio.Task[None], key: tuple[Caller, int], execution: Execution) -> None:
        self._tasks.pop(key, None)
        if task.cancelled():  # before its first step: nothing of it has run
            where = where_of(execution, self._instance)
            execution.caller.stream.send(execution.failure(CancelledError(where), where))

    def run(self, worker: Worker) -> None:
        pass

    def serve(self, worker: Worker) -> None:
        # Not asyncio.run: that would cancel what runs, and tell its callers so, before the process ends.
        loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
        try:
            loop.run_until_complete(self._serve(worker))
        except SystemExit as end:  # of a coroutine that a call has started
            leave(end)

    async def _serve(self, worker: Worker) -> None:
        loop = asyncio.get_running_loop()
        self._loop = loop
        self._semaphores = {name: asyncio.Semaphore(limit) for name, limit in self._limits.items()}
        loop.add_reader(worker.fileno(), worker.poll)
        await loop.create_future()  # the process ends otherwise

    async def _execute(self, execution: Execution) -> None:
        where = where_of(execution, self._instance)
        send = execution.caller.stream.send
        returns = execution.invoke.returns
        runs_here(execution.invoke.ref)
        try:
            semaphore = self._semaphores.get(execution.invoke.group or self._groups.get(execution.invoke.target, ""))
            if semaphore is None:
                raise unknown_group(execution, self._semaphores)
            async with semaphore:
                args, kwargs = execution.arguments()
                function = getattr(self._instance, execution.invoke.target)
                value = function(*args, **kwargs)
                if inspect.isawaitable(value):
                    value = await value
                if not gives_items(function, returns):
                    if returns is not None:
                        value = await several(value, returns)
                elif inspect.isasyncgen(value):
                    async for item in value:
                        if execution.caller.stream.ended:
                            raise CancelledError(where)  # nobody wants more of it
                        send(execution.item(item))
                        while execution.caller.stream.crowded:
                            await asyncio.sleep(CROWDED_S)
                    value = None
                else:
                    for item in value:
                        send(execution.item(item))
                    value = None
                end_child()
                reply = execution.result(value)
        except asyncio.CancelledError:
            reply = execution.failure(CancelledError(where), where)
        except SystemExit as end:
            leave(end)
        except BaseException as error:
            end_child(error)
            reply = execution.failure(error, where)
        send(reply)


def _groups_of(spec: ActorSpec) -> dict[str, str]:
    """Method → its own concurrency group: for who calls it without knowing that."""
    return {name: facts["group"] for name, facts in spec.methods.items() if facts["group"]}
