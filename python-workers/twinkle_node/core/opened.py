"""Objects whose bytes lie with the node, while this process reads them."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

import msgspec

from .link import Link
from .protocol import Block, Ids, Opened, Value
from .refs import RefTable
from .slabs import Slabs, laid_out
from .stored import Stored
from .value import unpack
from .views import pinned_view

KEEP_OPEN_S = 0.3
"""An object that is read again soon is not asked for again."""


class _Open:
    """An object whose block stays where it is for this process. ``users``: values that lie in it, or are being read."""

    __slots__ = ("block", "since", "users", "value")

    def __init__(self, value: Value, block: Block) -> None:
        self.value = value
        self.block = block
        self.users = 0
        self.since = 0.0


class OpenObjects:
    """Thread-safe. ``close_unused`` has to be called now and then.

    ``load`` makes references, ``inline`` reads what does not lie there after all.
    """

    def __init__(
        self, link: Link, slabs: Slabs, refs: RefTable, load: Callable[[Any], Any], inline: Callable[[Stored], Any]
    ) -> None:
        self._link = link
        self._slabs = slabs
        self._refs = refs
        self._load = load
        self._inline = inline
        self._unused: deque[str] = deque()  # to be closed
        self._opens: dict[str, _Open] = {}
        self._opens_lock = threading.Lock()
        self._left: deque[str] = deque()  # values that are gone, by the object in which they lay

    def __len__(self) -> int:
        return len(self._opens)

    def value(self, object_id: str) -> Any:
        """The value of an object that lies with the node. Raises TwinkleError ``OBJECT_LOST``, and what it is an error of."""
        with self._opens_lock:
            kept = self._opens.get(object_id)
            if kept is not None:
                kept.users += 1
        if kept is None:
            answer, body = self._ask_open(object_id)
            (opened,) = msgspec.convert(answer, list[Opened])
            if opened.block is None:
                return self._inline(Stored(msgspec.structs.replace(opened.value, at=""), bytes(body)))
            kept = self._keep_open(object_id, opened.value, opened.block)
        return self._read(object_id, kept)

    def _ask_open(self, object_id: str) -> tuple[Any, memoryview]:
        """Its bytes may have to come from disk first: who is interrupted meanwhile leaves nothing open."""
        open_here = [object_id]
        given_up = False

        def close() -> None:
            try:
                self._unused.append(open_here.pop())
            except IndexError:
                pass  # done already

        asked = self._link.ask("object.open", Ids([object_id]), then=lambda asked: close() if given_up else None)
        try:
            self._link.await_answer(asked)
        except BaseException:
            given_up = True
            if asked.done:
                close()
            else:
                self._link.withdraw(asked)
            raise
        return asked.result()

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
            offsets = laid_out(value.s, kept.block.offset)
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

    def close_unused(self, keep_s: float = KEEP_OPEN_S) -> float | None:
        """Tell the node to close what was not read for so long, or has no reference here. Returns seconds until the next may be closed."""
        due = self._forget_unused(keep_s) if self._opens else None
        if self._unused:
            ids = []
            while self._unused:
                ids.append(self._unused.popleft())
            self._link.tell("object.close", Ids(ids))
        return due

    def _forget_unused(self, keep_s: float) -> float | None:
        now = time.monotonic()
        with self._opens_lock:
            while self._left:
                kept = self._opens[self._left.popleft()]
                kept.users -= 1
                kept.since = now
            idle = [(one, kept) for one, kept in self._opens.items() if kept.users == 0]
            for object_id, kept in idle:
                if kept.since + keep_s <= now or self._refs.get(object_id) is None:
                    del self._opens[object_id]
                    self._unused.append(object_id)
            left = [kept.since for _, kept in idle if kept.since + keep_s > now]
        return min(left) + keep_s - now if left else None
