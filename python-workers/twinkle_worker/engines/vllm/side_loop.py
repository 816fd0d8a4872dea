"""An asyncio loop that a synchronous loop turns now and then, on the same thread. Knows nothing of HTTP or vLLM.

Its selector decides when a turn is over: asyncio asks it to block only when nothing is ready, and that is the moment to go back.
"""

from __future__ import annotations

import asyncio
import select
import selectors
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from time import monotonic
from typing import Any, TypeVar

T = TypeVar("T")

TURN_MS = 5.0
"""Time after which a turn ends although more is ready: the engine's next step must not wait for a crowd of handlers."""
CLOSE_MS = 1000.0
"""Time that cancelled tasks get to clean up in ``close``."""
THREADS = 4
"""Threads of the default executor (``asyncio.to_thread``); none is started before it is needed."""


class SideLoop:
    """A private event loop, the running one (``asyncio.get_running_loop``) only inside a turn and never the thread's default.

    Not thread safe, as every asyncio loop: only ``call_soon_threadsafe`` of ``loop`` may be called from elsewhere.
    """

    def __init__(self) -> None:
        self._selector = _TurnSelector()
        self.loop = asyncio.SelectorEventLoop(self._selector)
        self.loop.set_task_factory(self._task)
        self._executor = ThreadPoolExecutor(THREADS, thread_name_prefix="side-loop")
        self.loop.set_default_executor(self._executor)
        self._open = 0

    @property
    def pending(self) -> bool:
        """Whether a task of this loop is open, whoever created it: ``turn`` or ``wait`` is then due now and then."""
        return self._open > 0

    def turn(self, budget_ms: float = TURN_MS) -> bool:
        """Run what is ready, and what becomes ready meanwhile, without blocking; True when ``budget_ms`` left something over.

        One callback is never cut short: the budget is looked at between rounds. Costs nothing when no task is open.
        """
        return self._open > 0 and self._run(budget_ms, 0.0)

    def wait(self, wait_ms: float, wake_fd: int | None = None, budget_ms: float = TURN_MS) -> bool:
        """As ``turn``, but blocks first, up to ``wait_ms``, until a thread, a timer or a file descriptor makes something ready.

        For the time when all that is open waits for those. ``wake_fd`` ends the wait when it becomes readable, and is not read.
        """
        return self._run(budget_ms, wait_ms, wake_fd)

    def complete(self, work: Coroutine[Any, Any, T]) -> T:
        """Run one coroutine to its end, blocking, and return its result or raise its exception: for start and shutdown."""
        return self.loop.run_until_complete(work)

    def close(self) -> None:
        """Cancel every task, let them clean up for up to a second, and free the loop. Twice is fine."""
        if self.loop.is_closed():
            return
        for task in asyncio.all_tasks(self.loop):
            task.cancel()
        deadline = monotonic() + CLOSE_MS / 1000
        while self._open and (left := deadline - monotonic()) > 0:
            self._run(left * 1000, left * 1000)
        self.complete(self.loop.shutdown_asyncgens())
        self._executor.shutdown(wait=False, cancel_futures=True)
        self.loop.close()

    def _run(self, budget_ms: float, wait_ms: float, wake_fd: int | None = None) -> bool:
        self._selector.begin(self.loop, monotonic() + (budget_ms + wait_ms) / 1000, wait_ms, wake_fd)
        try:
            self.loop.run_forever()
        finally:
            self._selector.end()
        return self._selector.more

    def _task(self, loop: asyncio.AbstractEventLoop, work: Any, **options: Any) -> asyncio.Task[Any]:
        task: asyncio.Task[Any] = asyncio.Task(work, loop=loop, **options)
        self._open += 1
        task.add_done_callback(self._done)
        return task

    def _done(self, _task: asyncio.Task[Any]) -> None:
        self._open -= 1


class _TurnSelector(selectors.DefaultSelector):
    """Stops its loop when a turn is over. Outside of a turn it is the selector that it derives from."""

    def __init__(self) -> None:
        super().__init__()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._deadline = 0.0
        self._wait_ms = 0.0
        self._wake_fd: int | None = None
        self.more = False

    def begin(self, loop: asyncio.AbstractEventLoop, deadline: float, wait_ms: float, wake_fd: int | None) -> None:
        """A turn until ``deadline`` (s, monotonic), which may block for ``wait_ms`` as long as nothing has been ready."""
        self._loop, self._deadline, self._wait_ms, self._wake_fd, self.more = loop, deadline, wait_ms, wake_fd, False

    def end(self) -> None:
        """The turn is over."""
        self._loop = None

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """``timeout`` is 0 exactly when callbacks are ready or due: they run after this call, also when it stops the loop."""
        loop = self._loop
        if loop is None:
            return super().select(timeout)
        wait_ms, self._wait_ms = self._wait_ms, 0.0
        if monotonic() >= self._deadline:
            self.more = timeout == 0
            loop.stop()
            return super().select(0)
        if timeout == 0:
            return super().select(0)
        if wait_ms > 0:
            self._block(wait_ms if timeout is None else min(wait_ms, timeout * 1000))
        events = super().select(0)
        if not events:
            loop.stop()
        return events

    def _block(self, wait_ms: float) -> None:
        """Wait on everything registered, as one descriptor, and on the one that is not ours to register: it stays readable."""
        poll = select.poll()
        poll.register(self.fileno(), select.POLLIN)
        if self._wake_fd is not None:
            poll.register(self._wake_fd, select.POLLIN)
        poll.poll(wait_ms)
