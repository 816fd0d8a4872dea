"""Results that come one by one."""

from __future__ import annotations

import weakref
from collections import deque
from typing import TYPE_CHECKING, Any

from .refs import ObjectRef
from .stored import Stored

if TYPE_CHECKING:
    from .client import Client


class ObjectRefGenerator:
    """References to what a generator yields, in its order: ``for ref in generator``, ``async for``. Each is there once its item is."""

    def __init__(self, client: Client, over: ObjectRef) -> None:
        """``over``: has its value when the generator has ended."""
        self._client = client
        self._over = over
        self._items: deque[ObjectRef] = deque()
        self._error: Stored | None = None
        self._ended = False

    def completed(self) -> ObjectRef:
        """Has its value, None, when the generator has ended, or the error that it raised."""
        return self._over

    @property
    def take(self) -> Any:
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
            ref = self._client.objects.new_ref() if not stored.value or not stored.value.at else self._named(stored)
            self._client.objects.refs.fulfil(ref.slot, stored)
            self._items.append(ref)

    def _named(self, stored: Stored) -> ObjectRef:
        """A large item: the worker has sealed it under this name, held by this process."""
        assert stored.value is not None
        return self._client.objects.borrowed(stored.value.at, held=True)

    def __iter__(self) -> ObjectRefGenerator:
        return self

    def __next__(self) -> ObjectRef:
        self._client.pump.drive(self._more)
        return self._next(StopIteration())

    def __aiter__(self) -> ObjectRefGenerator:
        return self

    async def __anext__(self) -> ObjectRef:
        import asyncio

        if not self._more():
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(None, self._client.pump.drive, self._more)
        return self._next(StopAsyncIteration())

    def _more(self) -> bool:
        return len(self._items) > 0 or self._ended or self._error is not None

    def _next(self, end: BaseException) -> ObjectRef:
        if self._items:
            return self._items.popleft()
        if self._error is not None:
            error, self._error, self._ended = self._error, None, True
            raise error.exception()
        raise end
