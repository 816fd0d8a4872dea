"""References to objects, as this process knows them.

A slot per object id: how many references to it live here, and its value, or who waits for it. ``ObjectRef.__del__`` runs anywhere,
in any thread, in the middle of anything: it only notes the id, and whoever comes by next counts.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from types import GenericAlias
from typing import TYPE_CHECKING, Any

from .pickler import reference_class

if TYPE_CHECKING:
    from .stored import Stored


class Slot:
    """One object, here."""

    __slots__ = ("asked", "borrowed", "callbacks", "count", "held", "id", "known", "stored")

    def __init__(self, object_id: str, borrowed: bool) -> None:
        self.id = object_id
        self.count = 0
        self.stored: Stored | None = None
        self.callbacks: list[Callable[[Slot], None]] = []
        self.known = borrowed
        """The node has it in its table, and counts this process among its holders."""
        self.borrowed = borrowed
        """Another process made it: its value comes from the node."""
        self.held = False
        """Of a borrowed one: the node has said that it counts this process, or another counts for it until it does."""
        self.asked = False
        """The node has been asked for its value."""

    @property
    def done(self) -> bool:
        return self.stored is not None


class RefTable:
    """All slots. ``sweep`` has to be called now and then."""

    def __init__(self, gone: Callable[[list[Slot]], None], nudge: Callable[[], None] = lambda: None) -> None:
        """``gone(slots)``: no reference to them is left. Called with the lock in hand, so that a slot of the same id is new only after it:
        it may not wait. ``nudge``: a sweep would find something, or a value is there. Called anywhere, also by finalisers."""
        self._slots: dict[str, Slot] = {}
        self._dead: deque[str] = deque()
        self._lock = threading.RLock()
        self._gone = gone
        self._nudge = nudge
        self._calling = threading.local()

    def __len__(self) -> int:
        return len(self._slots)

    def __iter__(self) -> Iterator[Slot]:
        return iter(list(self._slots.values()))

    def take(self, object_id: str, borrowed: bool = False) -> tuple[Slot, bool]:
        """One more reference: (its slot, whether that is new here)."""
        with self._lock:
            slot = self._slots.get(object_id)
            fresh = slot is None
            if slot is None:
                slot = self._slots[object_id] = Slot(object_id, borrowed)
            slot.count += 1
            return slot, fresh

    def get(self, object_id: str) -> Slot | None:
        return self._slots.get(object_id)

    def note_dead(self, object_id: str) -> None:
        """A reference went. Takes no lock."""
        self._dead.append(object_id)
        self._nudge()

    def sweep(self) -> None:
        """Count what went, and call back what waits to be called in this thread."""
        if getattr(self._calling, "queue", None):
            self._call()
        if not self._dead:
            return
        gone: list[Slot] = []
        with self._lock:
            while self._dead:
                try:
                    object_id = self._dead.popleft()
                except IndexError:
                    break
                slot = self._slots.get(object_id)
                if slot is None:
                    continue
                slot.count -= 1
                if slot.count <= 0:
                    del self._slots[object_id]
                    gone.append(slot)
            if gone:
                self._gone(gone)

    def fulfil(self, slot: Slot, stored: Stored) -> None:
        """Its value is there. Whoever asked is told. The first value counts."""
        with self._lock:
            if slot.stored is not None:
                return
            slot.stored = stored
            callbacks, slot.callbacks = slot.callbacks, []
        self._nudge()
        if not callbacks:
            return
        calling = self._calling
        queue = getattr(calling, "queue", None)
        if queue is None:
            queue = calling.queue = deque()
        queue.extend((callback, slot) for callback in callbacks)
        # One after another, not one within another: a failure may go through a thousand calls that wait for each other.
        if getattr(calling, "busy", False):
            return
        calling.busy = True
        try:
            self._call()
        finally:
            calling.busy = False

    def when_done(self, slot: Slot, callback: Callable[[Slot], None]) -> None:
        """Call back when it has its value: at once if it has."""
        with self._lock:
            if slot.stored is None:
                slot.callbacks.append(callback)
                return
        callback(slot)

    def _call(self) -> None:
        queue = self._calling.queue
        while queue:
            callback, slot = queue.popleft()
            callback(slot)


@reference_class
class ObjectRef:
    """A reference to an object: the result of a call, or what was put. ``tn.get(ref)`` is its value; ``await ref`` in coroutines."""

    __slots__ = ("__weakref__", "_slot", "_table")

    __class_getitem__ = classmethod(GenericAlias)
    """``ObjectRef[int]`` in annotations."""

    def __init__(self, slot: Slot, table: RefTable) -> None:
        """For the client only: the slot has been counted."""
        self._slot = slot
        self._table = table

    @property
    def id(self) -> str:
        """Names the object on its cluster."""
        return self._slot.id

    @property
    def slot(self) -> Slot:
        """What this process knows of it. For the client only."""
        return self._slot

    def travels_as(self) -> tuple[str, str]:
        """What stands for it inside a value."""
        return "ref", self._slot.id

    def hex(self) -> str:
        return self._slot.id.encode().hex()

    def __repr__(self) -> str:
        return f"ObjectRef({self._slot.id})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ObjectRef) and other._slot.id == self._slot.id

    def __hash__(self) -> int:
        return hash(self._slot.id)

    def __del__(self) -> None:
        try:
            self._table.note_dead(self._slot.id)
        except AttributeError:
            pass  # it was never made in full

    def future(self) -> Any:
        """A concurrent.futures.Future of its value."""
        from .client import current

        return current().future(self)

    def __await__(self) -> Any:
        import asyncio

        return asyncio.wrap_future(self.future()).__await__()
