"""A queue between processes: an actor keeps it, and who has a ``Queue`` puts and gets. It can be given to tasks and actors."""

from __future__ import annotations

import asyncio
import queue
from collections.abc import Mapping, Sequence
from typing import Any

from ..core.api import get as value_of
from ..core.api import kill, wait
from ..core.remote import remote


class Empty(queue.Empty):
    """Nothing is in the queue."""


class Full(queue.Full):
    """The queue has no room."""


class Queue:
    """First in, first out. ``maxsize`` 0: any number of items. ``actor_options``: of the actor that keeps them."""

    def __init__(self, maxsize: int = 0, actor_options: Mapping[str, Any] | None = None) -> None:
        self.maxsize = maxsize
        self.actor: Any = remote(_Keeper).options(**(actor_options or {})).remote(maxsize)

    def __len__(self) -> int:
        return self.size()

    def size(self) -> int:
        """Items that are in it now."""
        return value_of(self.actor.size.remote())

    def qsize(self) -> int:
        return self.size()

    def empty(self) -> bool:
        return self.size() == 0

    def full(self) -> bool:
        return 0 < self.maxsize <= self.size()

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        """Raises Full when it has no room: at once without ``block``, else after ``timeout`` seconds (None: never)."""
        value_of(self.actor.put.remote(item, _patience(block, timeout)))

    async def put_async(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        """As ``put``, in a coroutine."""
        await self.actor.put.remote(item, _patience(block, timeout))

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        """Raises Empty when nothing is in it: at once without ``block``, else after ``timeout`` seconds (None: never)."""
        return value_of(self.actor.get.remote(_patience(block, timeout)))

    async def get_async(self, block: bool = True, timeout: float | None = None) -> Any:
        """As ``get``, in a coroutine."""
        return await self.actor.get.remote(_patience(block, timeout))

    def put_nowait(self, item: Any) -> None:
        self.put(item, block=False)

    def put_nowait_batch(self, items: Sequence[Any]) -> None:
        """All of them, or, with Full, none."""
        if isinstance(items, (str, bytes)) or not isinstance(items, Sequence):
            raise TypeError(f"expected a list of items but received a {type(items).__name__}")
        value_of(self.actor.put_all.remote(list(items)))

    def get_nowait(self) -> Any:
        return self.get(block=False)

    def get_nowait_batch(self, num_items: int) -> list[Any]:
        """So many, or, with Empty, none."""
        if not isinstance(num_items, int):
            raise TypeError(f"expected a whole number for `num_items` but received {num_items!r}")
        if num_items < 0:
            raise ValueError(f"expected a number ≥ 0 for `num_items` but received {num_items}")
        return value_of(self.actor.get_all.remote(num_items))

    def shutdown(self, force: bool = False, grace_period_s: float = 5) -> None:
        """End its actor: at once with ``force``, else when it has answered what was asked before, or after ``grace_period_s``."""
        if self.actor is None:
            return
        if not force:
            wait([self.actor.size.remote()], timeout=grace_period_s)
        kill(self.actor)
        self.actor = None


def _patience(block: bool, timeout: float | None) -> float | None:
    """Seconds; None: for ever."""
    if not block:
        return 0.0
    if timeout is not None and timeout < 0:
        raise ValueError(f"expected seconds ≥ 0 for `timeout` but received {timeout}")
    return timeout


class _Keeper:
    """Has the items. Coroutines: those that wait let others go on."""

    def __init__(self, maxsize: int) -> None:
        self._items: asyncio.Queue[Any] = asyncio.Queue(maxsize)

    async def size(self) -> int:
        return self._items.qsize()

    async def put(self, item: Any, patience: float | None) -> None:
        try:
            if patience == 0:
                self._items.put_nowait(item)
            else:
                await asyncio.wait_for(self._items.put(item), patience)
        except (asyncio.QueueFull, TimeoutError):
            raise Full(f"all {self._items.maxsize} places of the queue are taken") from None

    async def get(self, patience: float | None) -> Any:
        try:
            if patience == 0:
                return self._items.get_nowait()
            return await asyncio.wait_for(self._items.get(), patience)
        except (asyncio.QueueEmpty, TimeoutError):
            raise Empty("nothing is in the queue") from None

    async def put_all(self, items: list[Any]) -> None:
        room = self._items.maxsize - self._items.qsize()
        if self._items.maxsize > 0 and room < len(items):
            raise Full(f"the queue has room for {room} items, not for {len(items)}")
        for item in items:
            self._items.put_nowait(item)

    async def get_all(self, count: int) -> list[Any]:
        if self._items.qsize() < count:
            raise Empty(f"the queue has {self._items.qsize()} items, not {count}")
        return [self._items.get_nowait() for _ in range(count)]
