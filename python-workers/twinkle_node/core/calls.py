"""Calls on their way to a worker, over a connection with it."""

from __future__ import annotations

import itertools
import socket
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from .link import Link
from .objects import Objects
from .protocol import WORK_PROTOCOL, Dial, FromWorker, Ids, Invoke, Kept, Returned, Value, Withdraw
from .pump import Pump
from .refs import RefTable, Slot
from .running import current_call
from .scratch import Lent
from .stored import Outgoing, Stored
from .stream import Stream
from .wire import Buffer, frame

_decode = msgspec.msgpack.Decoder(FromWorker).decode

HELD_BYTES = 1 << 14
"""Calls wait for each other to be sent in one go up to so many bytes: to wake the worker costs more than all else of a small call."""


class Call:
    """One call: what is asked, and where its result goes."""

    __slots__ = (
        "again",
        "args",
        "cancelled",
        "given",
        "group",
        "items",
        "keep",
        "number",
        "over",
        "parent",
        "retries",
        "returns",
        "seen",
        "since",
        "slot",
        "taken",
        "target",
        "where",
    )

    def __init__(
        self,
        slot: Slot,
        target: str,
        where: str,
        args: Outgoing,
        given: Sequence[Slot],
        keep: Sequence[Any],
        retries: int,
        group: str = "",
        items: Callable[[Stored | None], None] | None = None,
    ) -> None:
        self.slot = slot
        self.target = target
        self.where = where
        """Who is called, for people."""
        self.args = args
        self.given = given
        """References among the arguments: the call waits for their values."""
        self.keep = keep
        """Lives until the call is over: references, a handle."""
        self.retries = retries
        """-1: without end."""
        self.group = group
        self.items = items
        """Of a generator: takes each item, then an error, or None at its end."""
        self.returns: int | None = None
        """See Invoke."""
        self.again = False
        """Exceptions that it raises use up retries, too."""
        self.number = -1
        self.cancelled = False
        self.taken = 0
        """Items that the generator has given, over all tries."""
        self.seen = 0
        """Of this try: one that is tried again begins at its begin."""
        self.over = False
        self.parent = current_call()
        """The call within which it was made; empty: none."""
        self.since = time.time()
        """When it was made, or sent last."""

    def take(self, stored: Stored) -> None:
        """An item has come."""
        self.seen += 1
        if self.seen > self.taken and self.items is not None:  # else a try of before gave it
            self.taken = self.seen
            self.items(stored)

    @property
    def ready(self) -> bool:
        return all(slot.done for slot in self.given)

    def failed_argument(self) -> Stored | None:
        """An argument that is an error is the error of the call."""
        return next((slot.stored for slot in self.given if slot.stored is not None and slot.stored.failed), None)


def finish(call: Call, stored: Stored, refs: RefTable) -> None:
    """That came of it: whoever waits for it is told. Not with a lock in hand. The first result counts."""
    if call.over:
        return
    call.over = True
    call.keep = ()
    call.args.keep.clear()
    if call.items is not None:
        call.items(stored if stored.failed else None)
    refs.fulfil(call.slot, stored)


def _lent_for(call: Call) -> Lent:
    return next(one for one in call.args.keep if type(one) is Lent)


LAST_WORDS_S = 2.0
"""The end of a worker on another box is told by its node, and may be here before what it said: that is waited for, so long at most."""


class WorkerLine:
    """The connection with one life of a worker. ``on_over(call, stored)``: its result has come; ``on_end(reason)``: it has ended. Both are
    called by who pumps; ``on_end`` also by who closes it."""

    def __init__(
        self,
        path: str,
        dial: tuple[str, int],
        parts: tuple[Pump, Link, Objects],
        on_over: Callable[[Call, Stored], None],
        on_end: Callable[[str], None],
        in_turn: bool = False,
        far: bool = False,
    ) -> None:
        """``dial``: instance and number of this client. ``in_turn``: the worker runs one call at a time, so what is sent while one is
        under way need not be there before that has its reply. ``far``: it is on another box, and cannot read memory of this one. Raises
        OSError when nobody listens at ``path``."""
        self._pump, self._link, self._objects = parts
        self._on_over = on_over
        self._on_end = on_end
        self._numbers = itertools.count()
        self.calls: dict[int, Call] = {}
        self._in_turn = in_turn
        self._far = far
        self._held: list[bytes] = []
        self._held_bytes = 0
        self._held_lock = threading.Lock()
        self._known: set[int] = set()  # lent memory that the worker has been told of
        self._loans: dict[int, Lent] = {}  # by call: until the worker gives it back
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            sock.connect(path)
        except OSError:
            sock.close()
            raise
        self._stream = Stream(sock, self._pump, self._heard, self._ended)
        self._pump.add(self._stream)
        instance, client = dial
        self._stream.send(frame(Dial(WORK_PROTOCOL, instance, client, False)))

    @property
    def ended(self) -> bool:
        return self._stream.ended

    def send(self, call: Call) -> None:
        """Send a call whose arguments are all there. Raises TwinkleError ``BODY_TOO_LARGE``."""
        given: list[Value] = []
        args, parts = self._arguments(call)
        body: list[Buffer] = [*parts]
        for slot in call.given:
            if slot.stored is not None:
                value, parts = slot.stored.travelling()
                given.append(value)
                body += parts
        number = next(self._numbers)
        invoke = frame(Invoke(number, call.slot.id, call.target, args, given, call.group, call.returns), body)
        call.number, call.seen, call.since = number, 0, time.time()
        with self._held_lock:
            under_way = len(self.calls) > len(self._held)
            self.calls[number] = call
            if args.loan is not None:
                invoke = self._lend(call, number) + invoke
            self._held.append(invoke)
            self._held_bytes += len(invoke)
            if not self._in_turn or not under_way or self._held_bytes > HELD_BYTES:
                self._send_held()
            elif len(self._held) == 1:
                self._pump.held.add(self)

    def _arguments(self, call: Call) -> tuple[Value, Sequence[Buffer]]:
        """As they travel to this worker. What was lent stays so: the next try may be on this box."""
        value, parts, _ = call.args
        if value.loan is None or not self._far:
            return value, parts
        lent = _lent_for(call)
        return msgspec.structs.replace(value, loan=None), lent.scratch.read(lent.at, value.s)

    def _lend(self, call: Call, number: int) -> bytes:
        """What the worker has to be told before."""
        lent = _lent_for(call)
        self._loans[number] = lent
        if lent.scratch.number in self._known:
            return b""
        self._known.add(lent.scratch.number)
        return frame(lent.scratch.lend)

    def release(self) -> None:
        """Send what is held back. Called before anybody waits, and when a reply comes."""
        with self._held_lock:
            self._send_held()

    def _send_held(self) -> None:
        held, self._held = self._held, []
        self._held_bytes = 0
        self._pump.held.discard(self)
        if held:
            self._stream.send(held[0] if len(held) == 1 else b"".join(held))

    def relieve(self) -> None:
        """Wait while too much waits to be sent. Not for who pumps, nor with a lock in hand."""
        if self._stream.crowded:
            self._pump.drive(lambda: not self._stream.crowded or self._stream.ended)

    def withdraw(self, call: Call) -> None:
        self.release()
        self._stream.send(frame(Withdraw(call.number)))

    def drain(self) -> None:
        """The worker has ended: take what it said before. For who pumps."""
        self._stream.drain(LAST_WORDS_S if self._far else 0.0)

    def close(self) -> None:
        self._pump.held.discard(self)
        self._stream.end("closed by the caller")

    def _heard(self, head: memoryview, body: memoryview) -> None:
        reply = _decode(head)
        if isinstance(reply, Returned):
            for number in reply.ids:
                self._loans.pop(number, None)
            return
        call = self.calls.get(reply.id) if reply.more else self.calls.pop(reply.id, None)
        keep = []
        if reply.value.refs:
            # The worker holds them until this process does.
            keep = [self._objects.borrowed(one, held=True) for one in reply.value.refs]
            number = reply.id
            self._link.ask("object.hold", Ids(reply.value.refs), then=lambda _: self._stream.send(frame(Kept(number))))
        if self._held:
            self.release()
        stored = Stored(reply.value, bytes(body), keep)
        if call is None:
            if reply.value.at:
                self._objects.borrowed(reply.value.at, held=True)  # goes at once, and with it what the worker sealed
        elif not reply.more:
            self._on_over(call, stored)
        else:
            call.take(stored)

    def _ended(self, reason: str) -> None:
        for lent in list(self._loans.values()):
            lent.spoil()
        self._loans.clear()
        self._pump.held.discard(self)
        self._pump.remove(self._stream.fileno())
        self._on_end(reason)
