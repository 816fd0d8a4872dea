"""This process as a client of its node: one connection, its references, its actors and tasks. A driver has one, a worker has one."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any, NamedTuple

import msgspec

from ..errors import ActorDiedError, GetTimeoutError, TwinkleError, WorkerDiedError
from .actor_line import ActorLine
from .calls import Call, WorkerLine
from .exported import Exported, Imported
from .handle import ActorHandle
from .link import Link
from .objects import Escapes, Objects
from .protocol import ActorCard, ActorState, CodeParams, Demand, Ids, Join, Joined, Value
from .pump import Pump
from .refs import ObjectRef, Slot
from .report import report
from .stored import Outgoing, Stored, sizes_of
from .task_lane import TaskLane
from .value import pack, pack_call

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
        self._lines: dict[str, ActorLine] = {}
        self._lanes: dict[bytes, TaskLane] = {}
        self._exported: set[str] = set()
        self._calls: dict[str, tuple[ActorLine | TaskLane, Call]] = {}
        self._lock = threading.Lock()
        self._objects: Objects | None = None
        self.before_waiting: Callable[[], None] = lambda: None
        """Called when a thread is about to wait for a value for longer than a moment."""
        self.imported = Imported()
        self.pump = Pump(self._between)
        self.link = Link(sock, self.pump, self._told, self._ended)
        try:
            self.joined: Joined = self.link.join(hello, JOIN_S)
        except BaseException:
            self.link.close()
            raise
        self._objects = Objects(self.link, self.joined.client, self.joined.inline_bytes, self.load)
        self.pump.start()

    @property
    def objects(self) -> Objects:
        if self._objects is None:
            raise TwinkleError("USAGE", "the client has not joined yet")
        return self._objects

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
        raise TwinkleError("PROTOCOL", f"a reference of an unknown kind: {payload[0]!r}")

    # ---- calls ----

    def handle(self, card: ActorCard, held: bool) -> ActorHandle:
        """A handle of an actor. ``held``: the node counts this process already."""
        return ActorHandle(card, self.objects.borrowed(card.id, held))

    def line(self, card: ActorCard) -> ActorLine:
        """The calls of this process to an actor."""
        line = self._lines.get(card.id)
        if line is not None:
            return line
        with self._lock:
            line = self._lines.get(card.id)
            if line is None:
                line = self._lines[card.id] = ActorLine(card, self.objects.refs, self._connect)
                if self.link.over is not None:
                    line.fail(self.link.over)
                self.link.tell("actor.watch", {"id": card.id})
        return line

    def lane(self, demand: Demand) -> TaskLane:
        """Tasks of that demand."""
        key = msgspec.msgpack.encode(demand)
        with self._lock:
            lane = self._lanes.get(key)
            if lane is None:
                lane = self._lanes[key] = TaskLane(demand, self.link, self.objects.refs, self._connect)
            return lane

    def arguments(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Outgoing, list[Slot], list[Any]]:
        """(arguments, those of them that are references and travel as their values, what has to live until the call is over)."""
        if not args and not kwargs:
            return Outgoing(*_NOTHING, []), [], []
        given: list[ObjectRef] = []

        def taken(value: Any) -> Any:
            if type(value) is not ObjectRef:
                return value
            given.append(value)
            return Given(len(given) - 1)

        args = tuple(taken(value) for value in args)
        kwargs = {name: taken(value) for name, value in kwargs.items()}
        escapes = Escapes()
        outgoing = self.objects.prepare(pack_call(args, kwargs, escapes), escapes)
        slots = [ref.slot for ref in given]
        for slot in slots:
            if slot.borrowed:
                self.objects.fetch(slot)
        return outgoing, slots, [*given]

    def lasting_arguments(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Outgoing:
        """Arguments of a constructor, for as many lives as there will be. What it keeps must live until the node has them."""

        def late(value: Any) -> Any:
            return Late(value) if type(value) is ObjectRef else value

        outgoing, _, _ = self.arguments(tuple(map(late, args)), {name: late(value) for name, value in kwargs.items()})
        return outgoing

    def submit(self, way: ActorLine | TaskLane, call: Call) -> None:
        """Send a call its way."""
        if self.link.over is not None:
            raise self.link.over
        self._calls[call.slot.id] = (way, call)
        self.objects.refs.when_done(call.slot, self._over)
        way.submit(call)

    def _over(self, slot: Slot) -> None:
        """A call has its result, which the node may keep for this process."""
        self._calls.pop(slot.id, None)
        stored = slot.stored
        if stored is None or slot.known:
            return
        if stored.value is None:
            # It may have been sealed by a worker that could not say so any more.
            at_node = isinstance(stored.error, (ActorDiedError, WorkerDiedError))
            if at_node:
                self.link.tell("object.drop", Ids([slot.id]))
            return
        if stored.value.at == slot.id:
            slot.known = True
            if self.objects.refs.get(slot.id) is not slot:  # nobody here wants it any more
                self.link.tell("object.drop", Ids([slot.id]))

    def cancel(self, ref: ObjectRef, force: bool) -> None:
        """Cancel the call whose result that is; one that has its result stays as it is."""
        found = self._calls.get(ref.slot.id)
        if found is None:
            return
        way, call = found
        if force and isinstance(way, ActorLine):
            raise TwinkleError(
                "INVALID_REQUEST", f"`force` is for tasks, and {call.where} is of an actor: use kill() to end that"
            )
        call.cancelled = True
        way.withdraw(call)
        if isinstance(way, TaskLane):
            worker = way.worker_of(call)
            if worker is not None:
                self.link.tell("interrupt", {"worker": worker, "ref": call.slot.id, "force": force})

    def export(self, exported: Exported) -> str:
        """Have the code with the node; its key."""
        if exported.key not in self._exported:
            self.link.call("code.put", CodeParams(exported.key, exported.name), [exported.blob])
            self._exported.add(exported.key)
        return exported.key

    def fetch_code(self, key: str) -> Any:
        """The function or class of a key."""

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

    def _connect(
        self, path: str, on_over: Callable[[Call, Stored], None], on_end: Callable[[str], None], in_turn: bool
    ) -> WorkerLine:
        dial = (self.joined.instance, self.joined.client)
        return WorkerLine(path, dial, (self.pump, self.link, self.objects), on_over, on_end, in_turn)

    def _between(self) -> float | None:
        """Between frames. Returns seconds after which it wants to be called again."""
        if self._objects is None:
            return None
        due = self._objects.sweep()
        lanes = [lane for lane in list(self._lanes.values()) if lane.keeps]
        for lane in lanes:
            lane.tick()
        if not lanes:
            return due
        return 1.0 if due is None else min(due, 1.0)

    def _told(self, method: str, params: Any, body: memoryview) -> None:
        if method == "actor":
            state = msgspec.convert(params, ActorState)
            line = self._lines.get(state.id)
            if line is not None:
                line.heard(state, bytes(body))
            if state.state == "DEAD":
                self._lines.pop(state.id, None)  # whoever calls it again asks the node again, and is told the same
        elif method == "lease.lost":
            for lane in list(self._lanes.values()):
                lane.lost(params["lease"], params["how"])
        elif method == "lease.spent":
            for lane in list(self._lanes.values()):
                lane.spent(params["lease"])
        elif method == "lease.wanted":
            for lane in list(self._lanes.values()):
                lane.give_back()
        elif method == "report":
            self.link.tell("report", report(params["token"], list(self._calls.values())))
        elif method == "slab.gone":
            self.objects.forget_slab(params["slab"])
        elif self._more is not None:
            self._more(method, params, body)

    def _ended(self, _reason: str) -> None:
        over = self.link.over or TwinkleError("HEAD_UNREACHABLE", "the connection with the node service has ended")
        for way in (*list(self._lines.values()), *list(self._lanes.values())):
            way.fail(over)
        if self._more is not None:
            self._more("ended", None, memoryview(b""))


MOMENT_S = 0.005
LOOK_S = 0.0002
"""Who asks without waiting sees what has come by then, or it would never see anything: the background leaves who pumps alone."""
_NO_ARGUMENTS = pack_call((), {})
_NOTHING = (Value(_NO_ARGUMENTS.format, sizes_of(_NO_ARGUMENTS), "", []), [_NO_ARGUMENTS.head])


class Given(msgspec.Struct, frozen=True):
    """Stands among arguments for the value of a reference that travels beside them."""

    at: int


class Late(NamedTuple):
    """Stands among a constructor's arguments for the value of a reference, which may not be there yet: each life asks for it."""

    ref: ObjectRef


def _settle(future: Future[Any], objects: Objects, stored: Stored) -> None:
    try:
        future.set_result(objects.value_of(stored))
    except BaseException as error:
        future.set_exception(error)
