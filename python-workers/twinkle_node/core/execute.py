"""One call, in the worker that runs it: its function and arguments, its result or error on the way back."""

from __future__ import annotations

import functools
import itertools
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .arguments import Given
from .borrowed import Borrowed
from .client import Client
from .objects import Escapes, part_id
from .protocol import Invoke, Reply, Value
from .stored import Stored, error_value, sizes_of
from .value import Packed, pack
from .wire import Buffer, frame

if TYPE_CHECKING:
    from .worker import Caller


class Execution:
    """``body``: bytes of the arguments, and of the values of references among them."""

    __slots__ = ("_body", "_borrowed", "_client", "_items", "_told", "caller", "invoke", "keep")

    def __init__(self, client: Client, caller: Caller, invoke: Invoke, body: bytes) -> None:
        self._client = client
        self._body = body
        self._items = itertools.count()
        loan = invoke.args.loan
        self._borrowed = None if loan is None else Borrowed(functools.partial(caller.give_back, invoke.id))
        self._told: list[bytes] = []
        self.caller = caller
        self.invoke = invoke
        self.keep: list[Any] = []

    def arguments(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Raises what cannot be read: a lost object, a class that is not there."""
        invoke, objects = self.invoke, self._client.objects
        values = [invoke.args, *invoke.given]
        refs = [one for value in values for one in value.refs]
        if refs:
            self.keep = [*objects.adopt(refs)]
        at = 0
        loaded = []
        for value in values:
            if value.loan is not None and self._borrowed is not None:
                borrowed, self._borrowed = self._borrowed, None  # what lies there keeps it
                memory = self.caller.lent[value.loan.scratch]
                if isinstance(memory, OSError):
                    raise memory
                loaded.append(borrowed.read(memory, value.loan, value, self._client.load))
                continue
            size = 0 if value.at else sum(value.s)
            loaded.append(objects.value_of(Stored(value, memoryview(self._body)[at : at + size], self.keep)))
            at += size
        (args, kwargs), *given = loaded
        if not given:
            return args, kwargs
        return tuple(_given(one, given) for one in args), {name: _given(one, given) for name, one in kwargs.items()}

    def result(self, value: Any) -> bytes:
        """The reply with the result, and the last. Raises what cannot travel."""
        if self.invoke.returns is None or self.invoke.returns < 0:
            return self._reply(value, False, self.invoke.ref)
        return self._several(value)

    def item(self, value: Any) -> bytes:
        """A reply with an item of a generator. Raises what cannot travel."""
        return self._reply(value, True, part_id(self.invoke.ref, next(self._items)))

    def failure(self, error: BaseException, where: str) -> bytes:
        """The reply with an error."""
        value, parts = error_value(error, where)
        return b"".join((*self._told, frame(Reply(self.invoke.id, value, False, False), parts)))

    def _several(self, values: Sequence[Any]) -> bytes:
        """Replies with each of the values, and the last. Either all values can travel, or none is stored."""
        packed = [self._packed(value, f"result[{at}]") for at, value in enumerate(values)]
        for at, one in enumerate(packed):
            # Should there be no room for a later one, the caller hears of those before it, and gives them up.
            self._told.append(self._sent(*one, True, part_id(self.invoke.ref, at)))
        last = self._reply(None, False, self.invoke.ref)
        told, self._told = self._told, []
        return b"".join((*told, last))

    def _reply(self, value: Any, more: bool, object_id: str) -> bytes:
        return self._sent(*self._packed(value, "the result"), more, object_id)

    def _packed(self, value: Any, name: str) -> tuple[Packed, Escapes]:
        escapes = Escapes()
        return pack(value, portable=self.caller.portable, ref_hook=escapes, name=name), escapes

    def _sent(self, packed: Packed, escapes: Escapes, more: bool, object_id: str) -> bytes:
        objects, caller = self._client.objects, self.caller
        objects.make_known(ref.slot for ref in escapes.found)
        parts: list[Buffer] = []
        if packed.size > self._client.joined.inline_bytes:
            sent = objects.seal(object_id, packed, escapes.ids, [caller.client])
        else:
            sent = Value(packed.format, sizes_of(packed), "", escapes.ids)
            parts = [packed.head, *packed.buffers]
        if escapes.ids:
            caller.custody.setdefault(self.invoke.id, deque()).append(escapes.found)
        return frame(Reply(self.invoke.id, sent, more, len(escapes.ids) > 0), parts)


def _given(value: Any, given: list[Any]) -> Any:
    return given[value.at] if type(value) is Given else value
