"""Results that come one by one."""

from __future__ import annotations

import time
import weakref
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from .refs import ObjectRef
from .stored import Stored

if TYPE_CHECKING:
    from .client import Client

MOMENT_S = 0.005
"""Who waits for longer than that is said to be blocked."""


class ObjectRefGenerator:
    """References to what a generator yields, in its order: ``for ref in generator``, ``async for``. Each is there once its item is."""

    def __init__(self, client: Client, over: ObjectRef) -> None:
        """``over``: has its value when the generator has ended."""
        self._client = client
        self._over = over
        self._items: deque[ObjectRef] = deque()
        self._error: Stored | None = None
        self._ended = False
        self._sleepers: list[Callable[[], None]] = []  # coroutines that wait

    def completed(self) -> ObjectRef:
        """Has its value, None, when the generator has ended, or the error that it raised."""
        return self._over

    @property
    def take(self) -> Callable[[Stored | None], None]:
        """What the call tells: each item, an error, None at the end. Does not keep the generator alive."""
        weak = weakref.WeakMethod(self._take)
        objects = self._client.objects

        def tell(stored: Stored | None) -> None:
            method = weak()
            if method is not None:
                method(stored)
            elif stored is not None and stored.value is not None and stored.value.at:
                objects.borrowed(stored.value.at, held=True)  # goes at once, and with it what the worker sealed

        return tell

    def _take(self, stored: Stored | None) -> None:
        if stored is None:
            self._ended = True
        elif stored.failed:
            self._error = stored
        else:
            objects = self._client.objects
            at = "" if stored.value is None else stored.value.at
            # A large one has been sealed by the worker under that name, held by this process.
            ref = objects.borrowed(at, held=True) if at else objects.new_ref()
            objects.refs.fulfil(ref.slot, stored)
            self._items.append(ref)
        for wake in list(self._sleepers):
            wake()
        self._client.link.nudge()

    def __iter__(self) -> ObjectRefGenerator:
        return self

    def __next__(self) -> ObjectRef:
        client = self._client
        while (ref := self._next(StopIteration())) is None:
            if not client.pump.drive(self._more, time.monotonic() + MOMENT_S):
                client.before_waiting()
                client.pump.drive(self._more)
        return ref

    def __aiter__(self) -> ObjectRefGenerator:
        return self

    async def __anext__(self) -> ObjectRef:
        while (ref := self._next(StopAsyncIteration())) is None:
            await self._came()
        return ref

    async def _came(self) -> None:
        """Without a thread: one that waits could not be cancelled, and asyncio waits for its threads at the end."""
        import asyncio

        loop = asyncio.get_running_loop()
        came = asyncio.Event()

        def wake() -> None:
            try:
                loop.call_soon_threadsafe(came.set)
            except RuntimeError:
                pass  # the loop has ended

        self._sleepers.append(wake)
        try:
            if not self._more():
                await came.wait()
        finally:
            self._sleepers.remove(wake)

    def _more(self) -> bool:
        return len(self._items) > 0 or self._ended or self._error is not None

    def _next(self, end: BaseException) -> ObjectRef | None:
        """None: it has to be waited for."""
        try:
            return self._items.popleft()
        except IndexError:  # several threads may take from it
            pass
        if self._error is not None:
            error, self._error, self._ended = self._error, None, True
            raise error.exception()
        if self._ended and not self._items:
            raise end
        return None
