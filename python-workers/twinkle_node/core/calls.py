"""Calls on their way to a worker, over a connection with it."""

from __future__ import annotations

import itertools
import socket
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from .link import Link
from .objects import Objects
from .protocol import WORK_PROTOCOL, Dial, Ids, Invoke, Kept, Reply, Value, Withdraw
from .pump import Pump
from .refs import Slot
from .stored import Outgoing, Stored
from .stream import Stream
from .wire import Buffer, frame

_decode = msgspec.msgpack.Decoder(Reply).decode


class Call:
    """One call: what is asked, and where its result goes."""

    __slots__ = ("again", "args", "cancelled", "given", "group", "items", "keep", "number", "retries", "slot", "target", "where")

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
        """Of a generator: takes each item, and None at its end."""
        self.again = False
        """Exceptions that it raises use up retries, too."""
        self.number = -1
        self.cancelled = False

    @property
    def ready(self) -> bool:
        return all(slot.done for slot in self.given)

    def failed_argument(self) -> Stored | None:
        """An argument that is an error is the error of the call."""
        return next((slot.stored for slot in self.given if slot.stored is not None and slot.stored.failed), None)


class WorkerLine:
    """The connection with one life of a worker. ``on_idle(call)``: its reply has come; ``on_end(reason)``: it has ended."""

    def __init__(
        self,
        path: str,
        dial: tuple[str, int],
        parts: tuple[Pump, Link, Objects],
        on_over: Callable[[Call, Stored], None],
        on_end: Callable[[str], None],
    ) -> None:
        """``dial``: instance and number of this client. Raises OSError when nobody listens at ``path``."""
        self._pump, self._link, self._objects = parts
        self._on_over = on_over
        self._on_end = on_end
        self._numbers = itertools.count()
        self.calls: dict[int, Call] = {}
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
        """Send a call whose arguments are all there."""
        given: list[Value] = []
        body: list[Buffer] = [*call.args.parts]
        for slot in call.given:
            if slot.stored is not None:
                value, parts = slot.stored.travelling()
                given.append(value)
                body += parts
        call.number = next(self._numbers)
        self.calls[call.number] = call
        head = Invoke(call.number, call.slot.id, call.target, call.args.value, given, call.group)
        self._stream.send(frame(head, body))

    def relieve(self) -> None:
        """Wait while too much waits to be sent. Not for who pumps, nor with a lock in hand."""
        if self._stream.crowded:
            self._pump.drive(lambda: not self._stream.crowded or self._stream.ended)

    def withdraw(self, call: Call) -> None:
        self._stream.send(frame(Withdraw(call.number)))

    def close(self) -> None:
        self._stream.end("closed by the caller")

    def _heard(self, head: memoryview, body: memoryview) -> None:
        reply = _decode(head)
        call = self.calls.get(reply.id) if reply.more else self.calls.pop(reply.id, None)
        keep = []
        if reply.value.refs:
            # The worker holds them until this process does.
            keep = [self._objects.borrowed(one, held=True) for one in reply.value.refs]
            number = reply.id
            self._link.ask(
                "object.hold", Ids(reply.value.refs), then=lambda _: self._stream.send(frame(Kept(number)))
            )
        stored = Stored(reply.value, bytes(body), keep)
        if call is None:
            return
        if call.items is not None:
            call.items(stored if reply.more or stored.failed else None)
            if reply.more:
                return
        self._on_over(call, stored)

    def _ended(self, reason: str) -> None:
        self._pump.remove(self._stream.fileno())
        self._on_end(reason)
