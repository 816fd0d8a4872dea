"""Values of this process: packed for others, stored with the node when they are large, and read again without a copy."""

from __future__ import annotations

import gc
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import msgspec

from ..errors import TwinkleError
from .link import Asked, Link
from .opened import OpenObjects
from .protocol import Block, Ids, Opened, Publish, Reserve, Seal, SlabPlace, Value
from .refs import ObjectRef, RefTable, Slot
from .scratch import ScratchPool
from .slabs import Slabs, laid_out, write_parts
from .stored import Outgoing, Stored, cut, sizes_of
from .value import Packed, unpack
from .wire import Buffer


def part_id(object_id: str, at: int) -> str:
    """Of an item of a generator, or one of several values of a call."""
    return f"{object_id}.{at}"


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
    """``load(payload)`` makes a reference of what an Escapes returned elsewhere. ``settle``: see Joined."""

    def __init__(
        self,
        link: Link,
        client: int,
        inline_bytes: int,
        load: Callable[[tuple[Any, ...]], Any],
        settle: bool = False,
    ) -> None:
        self._link = link
        self._client = client
        self._inline = inline_bytes
        self._settle = settle
        self._load = load
        self._ids = itertools.count()
        self._slabs = Slabs(self._where)
        self.refs = RefTable(self._gone, link.nudge)
        self._scratch = ScratchPool()
        self._open = OpenObjects(link, self._slabs, self.refs, load, self.value_of)

    # ---- references ----

    def new_id(self) -> str:
        return f"{self._client}.{next(self._ids)}"

    def new_ref(self) -> ObjectRef:
        """A reference to an object of this process that has no value yet."""
        slot, _ = self.refs.take(self.new_id())
        return ObjectRef(slot, self.refs)

    def new_part(self, object_id: str, at: int) -> ObjectRef:
        """A reference to one of several values of a call that has none yet."""
        slot, _ = self.refs.take(part_id(object_id, at))
        return ObjectRef(slot, self.refs)

    def give_up(self, ids: list[str]) -> None:
        """What was sealed under these names for this process, if anything was, is of no use to it."""
        if ids:
            self._link.tell("object.drop", Ids(ids))

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
        return self._open.close_unused()

    def let_go(self, collect: bool) -> None:
        """Tell the node now what is open for nothing but the next time: others need the room. ``collect``: values that are garbage in
        a cycle, too."""
        if collect and len(self._open) > 0:
            gc.collect()
        self._open.close_unused(0.0)

    def forget_slab(self, slab: int) -> None:
        self._slabs.forget(slab)

    def _gone(self, slots: list[Slot]) -> None:
        ids = [slot.id for slot in slots if slot.known]
        if ids:
            self._link.tell("object.drop", Ids(ids))

    # ---- out ----

    def prepare(self, packed: Packed, escapes: Escapes, lend: bool = False) -> Outgoing:
        """Make a value ready to travel. ``lend``: straight to a worker, for one call. Raises TwinkleError: the store is full, or the node
        is away."""
        self.make_known(ref.slot for ref in escapes.found)
        keep: list[Any] = [*escapes.found]
        if packed.size <= self._inline:
            return Outgoing(
                Value(packed.format, sizes_of(packed), "", escapes.ids), [packed.head, *packed.buffers], keep
            )
        lent = self._scratch.lend((packed.head, *packed.buffers), sizes_of(packed)) if lend else None
        if lent is not None:
            keep.append(lent)
            return Outgoing(Value(packed.format, sizes_of(packed), "", escapes.ids, lent.loan), [], keep)
        ref = self.new_ref()
        value = self.seal(ref.id, packed, escapes.ids, [self._client])
        ref.slot.known = True
        keep.append(ref)
        return Outgoing(value, [], keep)

    def seal(self, object_id: str, packed: Packed, refs: list[str], holders: list[int]) -> Value:
        """Write a large value where others read it; it is there for them when this returns. Waits until the node has moved others to disk
        for it. Raises TwinkleError ``SHM_FULL``, ``STORAGE_FAILED``."""
        sizes = sizes_of(packed)
        value = Value(packed.format, sizes, object_id, refs)
        sealed = Seal(object_id, value, holders)
        try:
            answer, _ = self._link.call("object.reserve", Reserve(object_id, laid_out(sizes)[-1]))
            block = msgspec.convert(answer, Block)
            write_parts(self._slabs.writing(block.slab), block.offset, (packed.head, *packed.buffers), sizes)
            if holders == [self._client] and not self._settle:
                self._link.tell("object.seal", sealed)
            else:
                # Whoever is told of it may ask for it, or drop it, at once: who counts must know before that it is held.
                self._link.call("object.seal", sealed)
        except BaseException:
            self._link.ask("object.abandon", {"id": object_id})
            raise
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
            if self.refs.get(slot.id) is not slot:  # who fulfils holds it, and nobody here wants it any more
                self.give_up([slot.id])

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
            value = msgspec.convert(answer, Opened).value
            keep = [self.borrowed(one) for one in value.refs]
            self.refs.fulfil(slot, Stored(value, bytes(body), keep))

        self._link.ask("object.look", {"id": slot.id}, then=answered)

    def value_of(self, stored: Stored) -> Any:
        """The Python value. Arrays are read-only and lie where the node has them. Raises what it is an error of."""
        value = stored.value
        if value is None or stored.failed:
            raise stored.exception()
        if value.at:
            return self._open.value(value.at)
        head, *buffers = cut(value.s, stored.body)
        return unpack(value.f, head, buffers, self._load)

    def _where(self, slab: int) -> SlabPlace:
        answer, _ = self._link.call("slab.where", {"slab": slab})
        return msgspec.convert(answer, SlabPlace)


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
