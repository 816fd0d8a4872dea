"""Arguments of calls, made ready to travel: references among them go as their values, which travel beside them."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from .objects import Escapes, Objects
from .protocol import Value
from .refs import ObjectRef, Slot
from .stored import Outgoing, sizes_of
from .value import pack_call

_NO_ARGUMENTS = pack_call((), {})
_NOTHING = (Value(_NO_ARGUMENTS.format, sizes_of(_NO_ARGUMENTS), "", []), [_NO_ARGUMENTS.head])


class Given(msgspec.Struct, frozen=True):
    """Stands among arguments for the value of a reference that travels beside them."""

    at: int


class Late(NamedTuple):
    """Stands among a constructor's arguments for the value of a reference, which may not be there yet: each life asks for it."""

    ref: ObjectRef


def prepared(
    objects: Objects, args: tuple[Any, ...], kwargs: dict[str, Any], lend: bool = True
) -> tuple[Outgoing, list[Slot], list[Any]]:
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
    outgoing = objects.prepare(pack_call(args, kwargs, escapes), escapes, lend)
    slots = [ref.slot for ref in given]
    for slot in slots:
        if slot.borrowed:
            objects.fetch(slot)
    return outgoing, slots, [*given]


def lasting(objects: Objects, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Outgoing:
    """Arguments of a constructor, for as many lives as there will be. What it keeps must live until the node has them."""

    def late(value: Any) -> Any:
        return Late(value) if type(value) is ObjectRef else value

    named = {name: late(value) for name, value in kwargs.items()}
    outgoing, _, _ = prepared(objects, tuple(map(late, args)), named, lend=False)
    return outgoing
