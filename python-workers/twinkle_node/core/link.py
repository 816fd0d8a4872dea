"""The connection of this process with the node service: questions with an answer, and words without one."""

from __future__ import annotations

import itertools
import socket
import time
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from ..errors import TwinkleError, refused
from .failure import again
from .forks import leave_at_fork
from .protocol import Answer, Ask, Join, Joined, Refusal, Tell, ToClient, WithdrawAsk
from .pump import Pump
from .stream import Stream
from .wire import Buffer, frame

_decode = msgspec.msgpack.Decoder(ToClient).decode
_NOTHING = memoryview(b"")


class Asked:
    """A question on its way."""

    __slots__ = ("body", "done", "error", "number", "then", "value")

    def __init__(self, number: int) -> None:
        self.number = number
        self.done = False
        self.value: Any = None
        self.body = _NOTHING
        self.error: TwinkleError | None = None
        self.then: Callable[[Asked], None] | None = None

    def result(self) -> tuple[Any, memoryview]:
        """What was answered, and the body. Raises what was refused."""
        if self.error is not None:
            raise again(self.error)  # this one would hold, by its frames, this and what the caller has
        return self.value, self.body


class Link:
    """``on_tell(method, params, body)`` and ``on_end(reason)`` are called by whoever pumps."""

    def __init__(
        self,
        sock: socket.socket,
        pump: Pump,
        on_tell: Callable[[str, Any, memoryview], None],
        on_end: Callable[[str], None],
    ) -> None:
        self._pump = pump
        self._on_tell = on_tell
        self._on_end = on_end
        self._ids = itertools.count()
        self._open: dict[int, Asked] = {}
        self._joined: Joined | None = None
        self._over: TwinkleError | None = None
        self._stream = Stream(sock, pump, self._heard, self._ended)
        pump.add(self._stream)
        leave_at_fork(self)

    def leave_to_parent(self) -> None:
        """See Shared of forks."""
        self._over = self._over or TwinkleError("USAGE", "a fork cannot use the connections of its parent")

    def join(self, hello: Join, timeout_s: float) -> Joined:
        """Say who this is. Raises TwinkleError when it is refused, or nobody answers in time."""
        self._stream.send(frame(hello))
        self._pump.drive(lambda: self._joined is not None or self._over is not None, time.monotonic() + timeout_s)
        if self._over is not None:
            raise self._over
        if self._joined is None:
            raise TwinkleError("HEAD_UNREACHABLE", f"the node service did not answer within {timeout_s:g} s")
        return self._joined

    @property
    def over(self) -> TwinkleError | None:
        """Why the connection has ended; None while it stands."""
        return self._over

    def ask(
        self,
        method: str,
        params: Any,
        body: Sequence[Buffer] = (),
        then: Callable[[Asked], None] | None = None,
    ) -> Asked:
        """Ask. ``then`` is called by whoever pumps when it is answered; at once when the connection has ended."""
        number = next(self._ids)
        asked = Asked(number)
        asked.then = then
        asking = frame(Ask(number, method, params), body)
        self._open[number] = asked  # before the look: the end settles what it finds
        if self._over is not None:
            self._settle(number, error=self._over)
        else:
            self._stream.send(asking)
        return asked

    def call(
        self, method: str, params: Any, body: Sequence[Buffer] = (), deadline: float | None = None
    ) -> tuple[Any, memoryview]:
        """Ask and wait. Raises what the service refuses; TimeoutError after ``deadline`` (time.monotonic)."""
        asked = self.ask(method, params, body)
        if not self.await_answer(asked, deadline):
            raise TimeoutError(f"`{method}` was not answered in time")
        return asked.result()

    def await_answer(self, asked: Asked, deadline: float | None = None) -> bool:
        """False when ``deadline`` (time.monotonic) came first."""
        return self._pump.drive(lambda: asked.done, deadline)

    def withdraw(self, asked: Asked) -> None:
        """The answer is of no use any more: it may be a refusal."""
        self._stream.send(frame(WithdrawAsk(asked.number)))

    def tell(self, method: str, params: Any, body: Sequence[Buffer] = ()) -> None:
        """Say it. Lost when the connection has ended."""
        self._stream.send(frame(Tell(method, params), body))

    def nudge(self) -> None:
        """Something that is no frame has changed, or is to be said. Takes no lock."""
        self._pump.nudge()

    def close(self) -> None:
        self._stream.end("closed by this process")

    def _heard(self, head: memoryview, body: memoryview) -> None:
        said = _decode(head)
        if isinstance(said, Answer):
            self._settle(said.id, said.value, body)
        elif isinstance(said, Refusal):
            error = refused(said.code, said.message, said.details)
            if said.id < 0:
                self._over = error
            else:
                self._settle(said.id, error=error)
        elif isinstance(said, Tell):
            self._on_tell(said.method, said.params, body)
        else:
            self._joined = said

    def _settle(
        self, number: int, value: Any = None, body: memoryview = _NOTHING, error: TwinkleError | None = None
    ) -> None:
        asked = self._open.pop(number, None)
        if asked is None:
            return
        asked.value, asked.body, asked.error = value, body, error
        asked.done = True
        if asked.then is not None:
            asked.then(asked)

    def _ended(self, reason: str) -> None:
        self._pump.remove(self._stream.fileno())
        if self._over is None:
            self._over = TwinkleError("HEAD_UNREACHABLE", f"the connection with the node service ended: {reason}")
        for number in list(self._open):
            self._settle(number, error=self._over)
        self._on_end(reason)
        self._pump.wake()  # any thread may have closed it
