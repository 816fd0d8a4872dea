"""This process as a client of its node: one connection, its references, its actors and tasks. A driver has one, a worker has one."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any

import msgspec

from ..errors import GetTimeoutError, TwinkleError
from .arguments import Given, Late
from .exported import Exported, Imported
from .handle import ActorHandle
from .link import Link
from .named_code import KINDS, named
from .objects import Escapes, Objects
from .protocol import ActorCard, CodeParams, Join, Joined
from .pump import Pump
from .refs import ObjectRef, Slot
from .runtime_env import NOTHING
from .stored import Stored
from .under_way import UnderWay
from .value import pack
from .ways import Ways

JOIN_S = 30.0

_current: Client | None = None


def current() -> Client:
    """The client of this process. Raises TwinkleError ``USAGE`` when there is none."""
    client = _current
    if client is None:
        raise TwinkleError("USAGE", "this process has not joined a cluster: call twinkle_node.init() first")
    if client.pid != os.getpid():
        raise TwinkleError(
            "USAGE",
            "this process is a fork of one that has joined a cluster, and cannot use its connections: start programs with "
            "subprocess or multiprocessing's spawn, and call twinkle_node.init(address='auto') in them",
        )
    return client


def set_current(client: Client | None) -> None:
    global _current
    _current = client


def has_current() -> bool:
    return _current is not None and _current.pid == os.getpid()


class Client:
    """Thread-safe."""

    def __init__(
        self, sock: socket.socket, hello: Join, on_tell: Callable[[str, Any, memoryview], None] | None = None
    ) -> None:
        """Join the node service at the other end of ``sock``. ``on_tell`` hears what only a worker is told. Raises TwinkleError."""
        self.pid = os.getpid()
        self.namespace = hello.namespace
        self._more = on_tell
        self._exported: set[str] = set()
        self._ways: Ways | None = None
        self.before_waiting: Callable[[], None] = lambda: None
        """Called when a thread is about to wait for a value for longer than a moment."""
        self.inherited = NOTHING
        """What its tasks and actors find around them, unless they say otherwise."""
        self.imported = Imported()
        self._named: dict[str, Any] = {}
        self.pump = Pump(self._between)
        self.link = Link(sock, self.pump, self._told, self._ended)
        try:
            self.joined: Joined = self.link.join(hello, JOIN_S)
        except BaseException:
            self.link.close()
            raise
        joined = self.joined
        self.objects = Objects(self.link, joined.client, joined.inline_bytes, self.load, joined.settle is True)
        self.calls = UnderWay(self.link, self.objects)
        self._ways = Ways(self.pump, self.link, self.objects, self.joined)
        self.pump.start()

    @property
    def ways(self) -> Ways:
        if self._ways is None:
            raise TwinkleError("USAGE", "the client has not joined yet")
        return self._ways

    # ---- values ----

    def put(self, value: Any) -> ObjectRef:
        """Raises TwinkleError for a ref, and for what cannot travel."""
        if isinstance(value, ObjectRef):
            raise TwinkleError(
                "INVALID_REQUEST", "expected a value for `put` but received an ObjectRef; put the list that holds it"
            )
        objects = self.objects
        escapes = Escapes()
        packed = pack(value, ref_hook=escapes)
        ref = objects.new_ref()
        if packed.size <= self.joined.inline_bytes:
            body = b"".join((packed.head, *packed.buffers))
            outgoing = objects.prepare(packed, escapes)
            objects.refs.fulfil(ref.slot, Stored(outgoing.value, body, outgoing.keep))
            return ref
        objects.make_known(one.slot for one in escapes.found)
        sealed = objects.seal(ref.id, packed, escapes.ids, [self.joined.client])
        ref.slot.known = True
        objects.refs.fulfil(ref.slot, Stored(sealed, keep=escapes.found))
        return ref

    def get(self, refs: Sequence[ObjectRef], timeout_s: float | None) -> list[Any]:
        """Values, in order. Raises the first error among them; GetTimeoutError."""
        slots = [ref.slot for ref in refs]
        self.wait_for(slots, timeout_s)
        values = []
        for slot in slots:
            if slot.stored is None:
                raise AssertionError("it was waited for")
            values.append(self.objects.value_of(slot.stored))
        return values

    def wait_for(self, slots: Sequence[Slot], timeout_s: float | None) -> None:
        for slot in slots:
            if slot.borrowed:
                self.objects.fetch(slot)
        left = [slot for slot in slots if not slot.done]
        if not left:
            return
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        if not self._drive(left, len(left), deadline):
            missing = ", ".join(slot.id for slot in left[:3])
            raise GetTimeoutError(
                f"{len(left)} of {len(slots)} values were not there within {timeout_s:g} s: {missing}"
            )

    def wait(
        self, refs: Sequence[ObjectRef], count: int, timeout_s: float | None
    ) -> tuple[list[ObjectRef], list[ObjectRef]]:
        """(those that have their values, at most ``count``; the others), both in order."""
        left = []
        for ref in refs:
            if ref.slot.borrowed:
                self.objects.fetch(ref.slot)
            if not ref.slot.done:
                left.append(ref.slot)
        need = count - (len(refs) - len(left))
        if need > 0:
            self._drive(left, need, None if timeout_s is None else time.monotonic() + timeout_s)
        ready: list[ObjectRef] = []
        others: list[ObjectRef] = []
        for ref in refs:
            (ready if ref.slot.done and len(ready) < count else others).append(ref)
        return ready, others

    def future(self, ref: ObjectRef) -> Future[Any]:
        """Its value, when it is there."""
        future: Future[Any] = Future()
        if ref.slot.borrowed:
            self.objects.fetch(ref.slot)
        if not ref.slot.done:
            self.before_waiting()  # a coroutine that awaits it is not seen to wait

        def fulfilled(slot: Slot) -> None:
            if not future.set_running_or_notify_cancel() or slot.stored is None:
                return
            value = slot.stored.value
            if value is None or not value.at:
                _settle(future, self.objects, slot.stored)
            else:
                # Not here: reading a large value asks the node, and this is the thread that hears its answers.
                threading.Thread(target=_settle, args=(future, self.objects, slot.stored), daemon=True).start()

        self.objects.refs.when_done(ref.slot, fulfilled)
        return future

    def load(self, payload: tuple[Any, ...]) -> Any:
        """A reference of what stood for it inside a value."""
        if payload[0] == "ref":
            return self.objects.borrowed(payload[1])
        if payload[0] == "actor":
            return self.handle(msgspec.msgpack.decode(payload[2], type=ActorCard), held=False)
        if payload[0] == "given":
            return Given(payload[1])
        if payload[0] == "late":
            return Late(self.objects.borrowed(payload[1]))
        raise TwinkleError("PROTOCOL", f"a reference of an unknown kind: {payload[0]!r}")

    # ---- calls ----

    def handle(self, card: ActorCard, held: bool) -> ActorHandle:
        """A handle of an actor. ``held``: the node counts this process already."""
        return ActorHandle(card, self.objects.borrowed(card.id, held))

    def export(self, exported: Exported) -> str:
        """Have the code with the node; its key."""
        if exported.key not in self._exported:
            self.link.call("code.put", CodeParams(exported.key, exported.name), [exported.blob])
            self._exported.add(exported.key)
        return exported.key

    def fetch_code(self, key: str) -> Any:
        """The function or class of a key."""
        if key.startswith(KINDS):
            return self._named.get(key) or self._named.setdefault(key, named(key))

        def fetch() -> bytes:
            _, body = self.link.call("code.get", {"key": key})
            return bytes(body)

        return self.imported.get(key, fetch)

    def close(self) -> None:
        """Leave. Actors that are not detached end, and tasks that run."""
        self.link.close()
        self.pump.close()

    # ---- within ----

    def _drive(self, slots: Sequence[Slot], need: int, deadline: float | None) -> bool:
        """Pump until so many of them are done."""
        if need == len(slots):
            at = 0

            def done() -> bool:
                nonlocal at
                while at < len(slots) and slots[at].done:
                    at += 1
                return at == len(slots)
        else:

            def done() -> bool:
                return sum(slot.done for slot in slots) >= need

        now = time.monotonic()
        if deadline is not None:
            deadline = max(deadline, now + LOOK_S)
        soon = now + MOMENT_S
        if self.pump.drive(done, soon if deadline is None else min(soon, deadline)):
            return True
        self.before_waiting()
        return self.pump.drive(done, deadline)

    def _between(self) -> float | None:
        """Between frames. Returns seconds after which it wants to be called again."""
        if self._ways is None:
            return None
        due = self.objects.sweep()
        if not self.ways.tick():
            return due
        return 1.0 if due is None else min(due, 1.0)

    def _told(self, method: str, params: Any, body: memoryview) -> None:
        if method == "report":
            self.link.tell("report", self.calls.report(params["token"]))
        elif method == "slab.gone":
            self.objects.forget_slab(params["slab"])
        elif method == "object.let-go":
            self.objects.let_go(params["collect"])
            self.link.tell("object.let-go", {"token": params["token"]})
        elif (self._ways is None or not self._ways.told(method, params, body)) and self._more is not None:
            # A worker may hear what it is to be right behind the answer to its join: there are no ways yet.
            self._more(method, params, body)

    def _ended(self, _reason: str) -> None:
        over = self.link.over or TwinkleError("HEAD_UNREACHABLE", "the connection with the node service has ended")
        if self._ways is not None:
            self._ways.fail(over)
        if self._more is not None:
            self._more("ended", None, memoryview(b""))


MOMENT_S = 0.005
LOOK_S = 0.0002
"""Who asks without waiting sees what has come by then, or it would never see anything: the background leaves who pumps alone."""


def _settle(future: Future[Any], objects: Objects, stored: Stored) -> None:
    try:
        future.set_result(objects.value_of(stored))
    except BaseException as error:
        future.set_exception(error)
