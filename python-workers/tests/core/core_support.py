"""The other ends of a client's connections, scripted: a node service and workers on real sockets, each in a thread that speaks frames."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from twinkle_node.core.calls import Call, WorkerLine
from twinkle_node.core.generators import ObjectRefGenerator
from twinkle_node.core.link import Link
from twinkle_node.core.objects import Objects
from twinkle_node.core.protocol import (
    Answer,
    Ask,
    Dial,
    FromClient,
    Invoke,
    Join,
    Joined,
    Kept,
    Lend,
    Refusal,
    Reply,
    Tell,
    ToWorker,
    Value,
    Withdraw,
    WithdrawAsk,
)
from twinkle_node.core.pump import Pump
from twinkle_node.core.refs import ObjectRef
from twinkle_node.core.stored import Outgoing, Stored, error_value
from twinkle_node.core.wire import FrameReader, frame

PATIENCE_S = 20.0
CLIENT = 7
INLINE = 1000


class Silence(Exception):
    """Raised by a script that does not answer."""


class Gone(Exception):
    """Raised by a script: refused with OBJECT_LOST."""


class Heard:
    """Things that came, in their order; whoever waits for some is told."""

    def __init__(self) -> None:
        self.all: list[Any] = []
        self._changed = threading.Condition()

    def add(self, one: Any) -> None:
        with self._changed:
            self.all.append(one)
            self._changed.notify_all()

    def look(self) -> None:
        """Something else has changed."""
        with self._changed:
            self._changed.notify_all()

    def until(self, there: Callable[[list[Any]], Any]) -> Any:
        """What ``there`` returns, once it is true."""
        with self._changed:
            assert self._changed.wait_for(lambda: there(self.all), PATIENCE_S), f"only {self.all[-5:]} came"
            return there(self.all)


class Service:
    """A node service with one client. ``script[method](params, body)`` answers; a tuple is (value, bytes)."""

    def __init__(self, script: dict[str, Callable[[Any, bytes], Any]] | None = None) -> None:
        self.script = script or {}
        self.asks, self.tells, self.withdrawn = Heard(), Heard(), Heard()
        self.theirs, self._sock = socket.socketpair()
        self._sending = threading.Lock()
        self._decode = msgspec.msgpack.Decoder(FromClient).decode
        threading.Thread(target=self._serve, daemon=True).start()

    def told(self, method: str) -> list[Any]:
        return [params for name, params in list(self.tells.all) if name == method]

    def asked(self, method: str) -> list[Any]:
        return [params for _, name, params, _ in list(self.asks.all) if name == method]

    def answer(self, number: int, value: Any, body: bytes = b"") -> None:
        self.raw(frame(Answer(number, value), [body]))

    def refuse(self, number: int, code: str, message: str = "no") -> None:
        self.raw(frame(Refusal(number, code, message, {})))

    def tell(self, method: str, params: Any, body: bytes = b"") -> None:
        self.raw(frame(Tell(method, params), [body]))

    def raw(self, data: bytes) -> None:
        with self._sending, contextlib.suppress(OSError):
            self._sock.sendall(data)

    def die(self) -> None:
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)

    def _serve(self) -> None:
        reader = FrameReader()
        while data := self._read():
            for head, body in reader.feed(data):
                self._heard(self._decode(head), bytes(body))

    def _read(self) -> bytes:
        try:
            return self._sock.recv(1 << 16)
        except OSError:
            return b""

    def _heard(self, said: Any, body: bytes) -> None:
        if isinstance(said, Join):
            if "join" in self.script:
                self.script["join"](said, body)
            else:
                self.raw(frame(Joined(CLIENT, "node", "instance", INLINE)))
        elif isinstance(said, Ask):
            script = self.script.get(said.method)
            self.asks.add((said.id, said.method, said.params, body))
            try:
                value = None if script is None else script(said.params, body)
                extra = b""
                if isinstance(value, tuple):
                    value, extra = value
                if said.method in self.script or said.method.startswith("object."):
                    self.answer(said.id, value, extra)
            except Silence:
                pass
            except Gone:
                self.refuse(said.id, "OBJECT_LOST")
            self.asks.look()
        elif isinstance(said, Tell):
            script = self.script.get(said.method)
            if script is not None:
                script(said.params, body)
            self.tells.add((said.method, said.params))
        elif isinstance(said, WithdrawAsk):
            self.withdrawn.add(said.id)


class Rig:
    """A client's parts, joined with a scripted service. Also stands for the client where that is asked for."""

    def __init__(self, service: Service, background: bool = True, workers: str = "") -> None:
        self.service = service
        self.told = Heard()
        self.ended: list[str] = []
        self.blocked = 0
        self._objects: Objects | None = None
        self.pump = Pump(self._idle)
        self.link = Link(service.theirs, self.pump, self._told, self.ended.append)
        self.link.join(hello(), PATIENCE_S)
        self._objects = Objects(self.link, CLIENT, INLINE, lambda payload: self.objects.borrowed(payload[1]))
        if background:
            self.pump.start()

    @property
    def objects(self) -> Objects:
        assert self._objects is not None
        return self._objects

    def before_waiting(self) -> None:
        self.blocked += 1

    def connect(
        self, path: str, over: Callable[[Call, Stored], None], end: Callable[[str], None], in_turn: bool = False
    ) -> WorkerLine:
        return WorkerLine(path, ("instance", CLIENT), (self.pump, self.link, self.objects), over, end, in_turn)

    def dial(
        self, path: str, _node: str, over: Callable[[Call, Stored], None], end: Callable[[str], None], in_turn: bool
    ) -> WorkerLine:
        """A Connect."""
        return self.connect(path, over, end, in_turn)

    def until(self, done: Callable[[], Any]) -> None:
        assert self.pump.drive(lambda: bool(done()), time.monotonic() + PATIENCE_S), "it did not happen"

    def call(self, name: str = "f", given: tuple[ObjectRef, ...] = (), retries: int = 0, items: bool = False) -> Made:
        ref = self.objects.new_ref()
        generator = ObjectRefGenerator(self, ref) if items else None  # type: ignore[arg-type]
        args = Outgoing(Value("raw", [len(name)], "", []), [name.encode()], [])
        slots = [one.slot for one in given]
        take = None if generator is None else generator.take
        return Made(Call(ref.slot, name, name, args, slots, [*given], retries, "", take), ref, generator)

    def close(self) -> None:
        self.link.close()
        self.pump.close()
        self.service.die()

    def _told(self, method: str, params: Any, _body: memoryview) -> None:
        self.told.add((method, params))

    def _idle(self) -> float | None:
        return None if self._objects is None else self._objects.sweep()


class Made:
    """A call with the reference to its result."""

    def __init__(self, call: Call, ref: ObjectRef, items: ObjectRefGenerator | None) -> None:
        self.call, self.ref, self.items = call, ref, items

    @property
    def done(self) -> bool:
        return self.ref.slot.done

    @property
    def error(self) -> BaseException | None:
        stored = self.ref.slot.stored
        return stored.exception() if stored is not None and stored.failed else None

    @property
    def text(self) -> str:
        stored = self.ref.slot.stored
        assert stored is not None
        assert not stored.failed, stored.exception()
        return bytes(stored.body).decode()


def hello() -> Join:
    return Join(1, "driver", os.getpid(), "", "python", [], "/", "default")


class Came:
    """A call as a worker received it."""

    def __init__(self, sock: socket.socket, invoke: Invoke, body: bytes) -> None:
        self.sock, self.invoke, self.body = sock, invoke, body

    @property
    def name(self) -> str:
        return self.invoke.target

    def reply(self, text: str | bytes, more: bool = False, at: str = "", refs: tuple[str, ...] = ()) -> None:
        data = text.encode() if isinstance(text, str) else text
        value = Value("raw", [len(data)], at, list(refs))
        self._send(frame(Reply(self.invoke.id, value, more, bool(refs)), [] if at else [data]))

    def fail(self, error: BaseException) -> None:
        value, parts = error_value(error, "the test")
        self._send(frame(Reply(self.invoke.id, value, False, False), parts))

    def _send(self, data: bytes) -> None:
        with contextlib.suppress(OSError):
            self.sock.sendall(data)


class FakeWorker:
    """Listens where a worker would."""

    def __init__(self, folder: Path, name: str) -> None:
        self.path = str(folder / name)
        self.calls, self.words = Heard(), Heard()
        self.callers: list[socket.socket] = []
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(self.path)
        self._listener.listen()
        self._decode = msgspec.msgpack.Decoder(ToWorker).decode
        threading.Thread(target=self._accept, daemon=True).start()

    def next(self, at: int) -> Came:
        return self.calls.until(lambda calls: calls[at] if len(calls) > at else None)

    def die(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path)
        for sock in self.callers:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self.callers.append(sock)
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        reader = FrameReader()
        while True:
            try:
                data = sock.recv(1 << 16)
            except OSError:
                return
            if not data:
                return
            for head, body in reader.feed(data):
                said = self._decode(head)
                if isinstance(said, Invoke):
                    self.calls.add(Came(sock, said, bytes(body)))
                elif isinstance(said, (Withdraw, Kept, Dial, Lend)):
                    self.words.add(said)


class NodeTable:
    """Who holds what, as a node counts it, of one client. ``lost``: asked for when nobody held it."""

    def __init__(self) -> None:
        self.held: set[str] = set()
        self.count: Counter[str] = Counter()

    def script(self) -> dict[str, Callable[[Any, bytes], Any]]:
        return {"object.hold": self._hold, "object.drop": self._drop}

    def _hold(self, params: Any, _body: bytes) -> None:
        self.held.update(params["ids"])

    def _drop(self, params: Any, _body: bytes) -> None:
        self.held.difference_update(params["ids"])
        self.count.update(params["ids"])


@contextlib.contextmanager
def rig(script: dict[str, Callable[[Any, bytes], Any]] | None = None, background: bool = True) -> Iterator[Rig]:
    made = Rig(Service(script), background)
    try:
        yield made
    finally:
        made.close()


def together(*works: Callable[[], Any]) -> None:
    """Run in threads at once; raises what one of them raises, or when one does not end."""
    errors: list[BaseException] = []

    def run(work: Callable[[], Any]) -> None:
        try:
            work()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(work,), daemon=True) for work in works]
    for thread in threads:
        thread.start()
    end = time.monotonic() + PATIENCE_S * 2
    for thread in threads:
        thread.join(max(0.0, end - time.monotonic()))
    if errors:
        raise errors[0]
    assert not any(thread.is_alive() for thread in threads), "a thread hangs"
