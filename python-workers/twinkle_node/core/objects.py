"""Values of this process: packed for others, stored with the node when they are large, and read again without a copy."""

from __future__ import annotations

import itertools
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import msgspec

from ..errors import TwinkleError
from .link import Asked, Link
from .protocol import Block, Ids, Opened, Publish, Reserve, Seal, SlabPlace, Value
from .refs import ObjectRef, RefTable, Slot
from .slabs import Slabs, aligned
from .stored import Outgoing, Stored, cut, sizes_of
from .value import Packed, unpack
from .views import pinned_view
from .wire import Buffer


class Escapes:
    """Notes the references that leave the process inside one value. A RefHook."""

    __slots__ = ("_ids", "found")

    def __init__(self) -> None:
        self.found: list[Any] = []
        self._ids: dict[str, None] = {}

    @property
    def ids(self) -> list[str]:
        """Each once."""
        return list(self._ids)

    def __call__(self, reference: Any) -> tuple[Any, ...]:
        payload: tuple[Any, ...] = reference.travels_as()
        self.found.append(reference)
        self._ids[payload[1]] = None
        return payload


class Objects:
    """``load(payload)`` makes a reference of what an Escapes returned elsewhere."""

    def __init__(self, link: Link, client: int, inline_bytes: int, load: Callable[[tuple[Any, ...]], Any]) -> None:
        self._link = link
        self._client = client
        self._inline = inline_bytes
        self._load = load
        self._ids = itertools.count()
        self._slabs = Slabs(self._where)
        self._unused: deque[str] = deque()  # to be closed
        self._opens: dict[str, _Open] = {}
        self._opens_lock = threading.Lock()
        self._left: deque[str] = deque()  # values that are gone, by the object in which they lay
        self.refs = RefTable(self._gone, link.nudge)

    # ---- references ----

    def new_id(self) -> str:
        return f"{self._client}.{next(self._ids)}"

    def new_ref(self) -> ObjectRef:
        """A reference to an object of this process that has no value yet."""
        slot, _ = self.refs.take(self.new_id())
        return ObjectRef(slot, self.refs)

    def borrowed(self, object_id: str, held: bool = False) -> ObjectRef:
        """A reference to an object of another process. ``held``: the node counts this process already, or is being told."""
        slot, _ = self.refs.take(object_id, borrowed=True)
        if held:
            slot.known = slot.held = True
        elif slot.borrowed and not slot.held:
            # Also when it is not new here: another thread may be about to ask, and this one's next words must come after it.
            self._link.ask("object.hold", Ids([object_id]), then=lambda asked: _mark_held([slot], asked))
        return ObjectRef(slot, self.refs)

    def adopt(self, ids: Sequence[str]) -> list[ObjectRef]:
        """References that came in somebody else's value: held when this returns. Not for who pumps. Raises TwinkleError ``OBJECT_LOST``."""
        refs: list[ObjectRef] = []
        unheld: list[Slot] = []
        for object_id in ids:
            # First counted, then asked for: what is counted is not dropped meanwhile.
            slot, _ = self.refs.take(object_id, borrowed=True)
            refs.append(ObjectRef(slot, self.refs))
            # Also when it is not new here: another thread may have asked, and have no answer yet.
            if slot.borrowed and not slot.held:
                unheld.append(slot)
        if unheld:
            self._link.call("object.hold", Ids([slot.id for slot in unheld]))
            for slot in unheld:
                slot.held = True
        return refs

    def sweep(self) -> float | None:
        """Tell the node what is not used any more. Called by whoever pumps. Returns seconds until there may be more to tell."""
        self.refs.sweep()
        due = self._close_unused()
        if self._unused:
            ids = []
            while self._unused:
                ids.append(self._unused.popleft())
            self._link.tell("object.close", Ids(ids))
        return due

    def forget_slab(self, slab: int) -> None:
        self._slabs.forget(slab)

    def _gone(self, slots: list[Slot]) -> None:
        ids = [slot.id for slot in slots if slot.known]
        if ids:
            self._link.tell("object.drop", Ids(ids))

    # ---- out ----

    def prepare(self, packed: Packed, escapes: Escapes) -> Outgoing:
        """Make a value ready to travel. Raises TwinkleError: the store is full, or the node is away."""
        self.make_known(ref.slot for ref in escapes.found)
        keep: list[Any] = [*escapes.found]
        if packed.size <= self._inline:
            return Outgoing(
                Value(packed.format, sizes_of(packed), "", escapes.ids), [packed.head, *packed.buffers], keep
            )
        ref = self.new_ref()
        value = self.seal(ref.id, packed, escapes.ids, [self._client])
        ref.slot.known = True
        keep.append(ref)
        return Outgoing(value, [], keep)

    def seal(self, object_id: str, packed: Packed, refs: list[str], holders: list[int]) -> Value:
        """Write a large value where others read it; it is there for them when this returns. Raises TwinkleError ``SHM_FULL``."""
        sizes = sizes_of(packed)
        total = sum(aligned(size) for size in sizes)
        answer, _ = self._link.call("object.reserve", Reserve(object_id, total))
        block = msgspec.convert(answer, Block)
        try:
            target = memoryview(self._slabs.writing(block.slab))
            at = block.offset
            for part, size in zip((packed.head, *packed.buffers), sizes, strict=True):
                target[at : at + size] = memoryview(part).cast("B") if size else b""
                at += aligned(size)
        except BaseException:
            self._link.ask("object.abandon", {"id": object_id})
            raise
        value = Value(packed.format, sizes, object_id, refs)
        sealed = Seal(object_id, value, holders)
        if holders == [self._client]:
            self._link.tell("object.seal", sealed)
        else:
            # Whoever is told of it may drop it at once: the node must know before that it holds it.
            self._link.call("object.seal", sealed)
        return value

    def make_known(self, slots: Iterable[Slot]) -> None:
        """Before a reference leaves: the node must have its value, or the promise of it."""
        unknown = [slot for slot in dict.fromkeys(slots) if not slot.known]
        if not unknown:
            return
        for batch in _batches(unknown):
            values: list[Value | None] = []
            body: list[Buffer] = []
            promised: list[Slot] = []
            for slot in batch:
                if slot.stored is None:
                    values.append(None)
                    promised.append(slot)
                    continue
                value, parts = slot.stored.travelling()
                values.append(value)
                body += parts
            self._link.call("object.publish", Publish([slot.id for slot in batch], values), body)
            for slot in batch:
                # Not before: another thread would hand it to somebody who asks the node for it at once. Publishing twice does no harm.
                slot.known = True
            for slot in promised:
                self.refs.when_done(slot, self._fulfil)

    def _fulfil(self, slot: Slot) -> None:
        if slot.stored is None:
            return
        value, parts = slot.stored.travelling()
        if not value.at:  # else the worker that made it has sealed it under this id
            self._link.tell("object.fulfil", Publish([slot.id], [value]), parts)

    # ---- in ----

    def fetch(self, slot: Slot) -> None:
        """Begin to ask for the value of an object of another process."""
        if slot.asked or slot.done:
            return
        slot.asked = True

        def answered(asked: Asked) -> None:
            try:
                answer, body = asked.result()
            except TwinkleError as error:
                self.refs.fulfil(slot, Stored(None, error=error))
                return
            (opened,) = msgspec.convert(answer, list[Opened])
            if opened.block is not None:
                self._unused.append(slot.id)  # opened again by whoever reads it
            keep = [self.borrowed(one) for one in opened.value.refs]
            value = opened.value if opened.block is None else msgspec.structs.replace(opened.value, at=slot.id)
            self.refs.fulfil(slot, Stored(value, bytes(body), keep))

        self._link.ask("object.open", Ids([slot.id]), then=answered)

    def value_of(self, stored: Stored) -> Any:
        """The Python value. Arrays are read-only and lie where the node has them. Raises what it is an error of."""
        value = stored.value
        if value is None or stored.failed:
            raise stored.exception()
        if value.at:
            return self._open(value.at)
        head, *buffers = cut(value.s, stored.body)
        return unpack(value.f, head, buffers, self._load)

    def _open(self, object_id: str) -> Any:
        with self._opens_lock:
            kept = self._opens.get(object_id)
            if kept is not None:
                kept.users += 1
        if kept is None:
            answer, body = self._link.call("object.open", Ids([object_id]))
            (opened,) = msgspec.convert(answer, list[Opened])
            if opened.block is None:
                return self.value_of(Stored(msgspec.structs.replace(opened.value, at=""), bytes(body)))
            kept = self._keep_open(object_id, opened.value, opened.block)
        return self._read(object_id, kept)

    def _keep_open(self, object_id: str, value: Value, block: Block) -> _Open:
        """Of what several threads have opened at once, one is kept."""
        with self._opens_lock:
            kept = self._opens.get(object_id)
            if kept is None:
                kept = self._opens[object_id] = _Open(value, block)
            else:
                self._unused.append(object_id)
            kept.users += 1
            return kept

    def _read(self, object_id: str, kept: _Open) -> Any:
        value = kept.value
        # One token less than there are parts, the head among them: who finds none was the last. Taking one is atomic, so it needs no lock.
        tokens = [None] * (len(value.s) - 1)

        def closed() -> None:
            try:
                tokens.pop()
            except IndexError:
                self._left.append(object_id)
                self._link.nudge()

        unviewed = len(value.s) - 1
        head = memoryview(b"")
        try:
            mapping = self._slabs.reading(kept.block.slab)
            offsets = list(itertools.accumulate((aligned(size) for size in value.s), initial=kept.block.offset))
            head = memoryview(mapping)[offsets[0] : offsets[0] + value.s[0]]
            buffers = []
            for at, size in zip(offsets[1:], value.s[1:], strict=False):
                buffers.append(pinned_view(mapping, at, size, closed))
                unviewed -= 1
            return unpack(value.f, head, buffers, self._load)
        finally:
            head.release()
            for _ in range(1 + unviewed):
                closed()

    def _close_unused(self) -> float | None:
        """Close what was not read for a moment, or has no reference here. Returns seconds until the next may be closed."""
        if not self._opens:
            return None
        now = time.monotonic()
        with self._opens_lock:
            while self._left:
                kept = self._opens[self._left.popleft()]
                kept.users -= 1
                kept.since = now
            idle = [(one, kept) for one, kept in self._opens.items() if kept.users == 0]
            for object_id, kept in idle:
                if kept.since + KEEP_OPEN_S <= now or self.refs.get(object_id) is None:
                    del self._opens[object_id]
                    self._unused.append(object_id)
            left = [kept.since for _, kept in idle if kept.since + KEEP_OPEN_S > now]
        return min(left) + KEEP_OPEN_S - now if left else None

    def _where(self, slab: int) -> SlabPlace:
        answer, _ = self._link.call("slab.where", {"slab": slab})
        return msgspec.convert(answer, SlabPlace)


class _Open:
    """An object whose block stays where it is for this process. ``users``: values that lie in it, or are being read."""

    __slots__ = ("block", "since", "users", "value")

    def __init__(self, value: Value, block: Block) -> None:
        self.value = value
        self.block = block
        self.users = 0
        self.since = 0.0


KEEP_OPEN_S = 0.3
"""An object that is read again soon is not asked for again."""

BATCH_BYTES = 1 << 24
"""Of what is published in one message, or one value more."""


def _batches(slots: Sequence[Slot]) -> Iterator[list[Slot]]:
    batch: list[Slot] = []
    size = 0
    for slot in slots:
        batch.append(slot)
        stored = slot.stored
        size += 0 if stored is None else len(stored.body)
        if size > BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _mark_held(slots: Iterable[Slot], asked: Asked) -> None:
    if asked.error is None:
        for slot in slots:
            slot.held = True
