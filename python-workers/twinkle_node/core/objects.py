"""Values of this process: packed for others, stored with the node when they are large, and read again without a copy."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterable, Sequence
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

    __slots__ = ("found", "ids")

    def __init__(self) -> None:
        self.found: list[Any] = []
        self.ids: list[str] = []

    def __call__(self, reference: Any) -> tuple[Any, ...]:
        payload: tuple[Any, ...] = reference.travels_as()
        self.found.append(reference)
        if payload[1] not in self.ids:
            self.ids.append(payload[1])
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
        self._unused: deque[str] = deque()
        self.refs = RefTable(self._gone)

    # ---- references ----

    def new_id(self) -> str:
        return f"{self._client}.{next(self._ids)}"

    def new_ref(self) -> ObjectRef:
        """A reference to an object of this process that has no value yet."""
        slot, _ = self.refs.take(self.new_id())
        return ObjectRef(slot, self.refs)

    def borrowed(self, object_id: str, held: bool = False) -> ObjectRef:
        """A reference to an object of another process. ``held``: the node counts this process already, or is being told."""
        slot, fresh = self.refs.take(object_id, borrowed=True)
        if fresh and not held:
            self._link.ask("object.hold", Ids([object_id]))
        return ObjectRef(slot, self.refs)

    def adopt(self, ids: Sequence[str]) -> list[ObjectRef]:
        """References that came in somebody else's value: held when this returns. Not for who pumps. Raises TwinkleError ``OBJECT_LOST``."""
        refs: list[ObjectRef] = []
        unknown: list[str] = []
        for object_id in ids:
            # First counted, then asked for: what is counted is not dropped meanwhile.
            slot, fresh = self.refs.take(object_id, borrowed=True)
            refs.append(ObjectRef(slot, self.refs))
            if fresh:
                unknown.append(object_id)
        if unknown:
            self._link.call("object.hold", Ids(unknown))
        return refs

    def sweep(self) -> None:
        """Tell the node what is not used any more. Called by whoever pumps."""
        self.refs.sweep()
        if self._unused:
            ids = []
            while self._unused:
                ids.append(self._unused.popleft())
            self._link.tell("object.close", Ids(ids))

    def forget_slab(self, slab: int) -> None:
        self._slabs.forget(slab)

    def _gone(self, slot: Slot) -> None:
        if slot.known:
            self._link.tell("object.drop", Ids([slot.id]))

    # ---- out ----

    def prepare(self, packed: Packed, escapes: Escapes) -> Outgoing:
        """Make a value ready to travel. Raises TwinkleError: the store is full, or the node is away."""
        self.make_known(ref.slot for ref in escapes.found)
        keep: list[Any] = [*escapes.found]
        if packed.size <= self._inline:
            return Outgoing(Value(packed.format, sizes_of(packed), "", escapes.ids), [packed.head, *packed.buffers], keep)
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
        target = memoryview(self._slabs.writing(block.slab))
        at = block.offset
        for part, size in zip((packed.head, *packed.buffers), sizes, strict=True):
            target[at : at + size] = memoryview(part).cast("B") if size else b""
            at += aligned(size)
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
        values: list[Value | None] = []
        body: list[Buffer] = []
        promised: list[Slot] = []
        for slot in unknown:
            slot.known = True
            if slot.stored is None:
                values.append(None)
                promised.append(slot)
                continue
            value, parts = slot.stored.travelling()
            values.append(value)
            body += parts
        self._link.call("object.publish", Publish([slot.id for slot in unknown], values), body)
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
        answer, body = self._link.call("object.open", Ids([object_id]))
        (opened,) = msgspec.convert(answer, list[Opened])
        value, block = opened.value, opened.block
        if block is None:
            return self.value_of(Stored(msgspec.structs.replace(value, at=""), bytes(body)))
        mapping = self._slabs.reading(block.slab)
        offsets = list(itertools.accumulate((aligned(size) for size in value.s), initial=block.offset))
        head = memoryview(mapping)[offsets[0] : offsets[0] + value.s[0]]
        # One token less than there are parts, the head among them: who finds none was the last. Taking one is atomic, so it needs no lock.
        tokens = [None] * (len(value.s) - 1)

        def closed() -> None:
            try:
                tokens.pop()
            except IndexError:
                self._unused.append(object_id)

        try:
            buffers = [
                pinned_view(mapping, at, size, closed) for at, size in zip(offsets[1:], value.s[1:], strict=False)
            ]
            return unpack(value.f, head, buffers, self._load)
        finally:
            head.release()
            closed()

    def _where(self, slab: int) -> SlabPlace:
        answer, _ = self._link.call("slab.where", {"slab": slab})
        return msgspec.convert(answer, SlabPlace)
