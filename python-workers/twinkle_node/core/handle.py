"""Handles of actors, as programs use them."""

from __future__ import annotations

from functools import partial
from typing import Any

import msgspec

from ..errors import TwinkleError
from .arguments import prepared
from .calls import Call
from .generators import ObjectRefGenerator
from .options import returns_of
from .pickler import reference_class
from .protocol import ActorCard
from .refs import ObjectRef
from .several import SeveralCall

_OPTIONS = ("concurrency_group", "max_task_retries", "num_returns")


@reference_class
class ActorHandle:
    """An actor: ``handle.method.remote(...)`` calls it. Can be given to others, who call it themselves."""

    __slots__ = ("_card", "_ref")

    def __init__(self, card: ActorCard, ref: ObjectRef) -> None:
        """For the client only. ``ref`` counts this handle."""
        self._card = card
        self._ref = ref

    def __getattr__(self, name: str) -> ActorMethod:
        if name not in self._card.methods and (self._card.methods or name.startswith("_")):
            there = ", ".join(sorted(self._card.methods))
            raise AttributeError(f"actor {self._card.cls_name} has no method `{name}`; it has {there}")
        return ActorMethod(self, name)

    def __dir__(self) -> list[str]:
        return sorted(self._card.methods)

    def __repr__(self) -> str:
        return f"Actor({self._card.cls_name}, {self._card.id})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ActorHandle) and other._card.id == self._card.id

    def __hash__(self) -> int:
        return hash(self._card.id)

    @property
    def _actor_id(self) -> str:
        return self._card.id

    @property
    def slot(self) -> Any:
        """For the client only."""
        return self._ref.slot

    def travels_as(self) -> tuple[str, str, bytes]:
        """What stands for it inside a value."""
        return "actor", self._card.id, msgspec.msgpack.encode(self._card)


_UNKNOWN = {"gen": False, "group": ""}
"""Of a method that nobody has told this process of: its maker has only named the class."""


class ActorMethod:
    """A method of an actor that is elsewhere."""

    __slots__ = ("_handle", "_name", "_options")

    def __init__(self, handle: ActorHandle, name: str, options: dict[str, Any] | None = None) -> None:
        self._handle = handle
        self._name = name
        self._options = options or {}

    def __call__(self, *_: Any, **__: Any) -> Any:
        raise TypeError(f"call `{self._name}.remote(...)`: the actor is in another process")

    def options(self, **options: Any) -> ActorMethod:
        """The same, with other options: ``concurrency_group``, ``max_task_retries``, ``num_returns``."""
        unknown = [name for name in options if name not in _OPTIONS]
        if unknown:
            raise TwinkleError("CONFIG_INVALID", f"unknown option `{unknown[0]}`; a method has {', '.join(_OPTIONS)}")
        returns_of(options.get("num_returns"), False)
        return ActorMethod(self._handle, self._name, {**self._options, **options})

    def remote(self, *args: Any, **kwargs: Any) -> Any:
        """Call it. Returns an ObjectRef at once, of a generator an ObjectRefGenerator, with ``num_returns`` a list of ObjectRefs."""
        from .client import current

        client = current()
        handle = self._handle
        card = handle._card
        facts = card.methods.get(self._name, _UNKNOWN)
        line = client.ways.line(card)
        limit = facts.get("limit", -1)
        if 0 < limit <= line.pending:
            raise TwinkleError(
                "OVERLOADED", f"{limit} calls of this process wait for {card.cls_name}: max_pending_calls"
            )
        arguments, given, keep = prepared(client.objects, args, kwargs)
        ref = client.objects.new_ref()
        options = self._options
        returns = facts.get("returns")
        if options and "num_returns" in options:
            returns = returns_of(options["num_returns"], facts["gen"])
        several = returns is not None and returns >= 0
        items = ObjectRefGenerator(client, ref) if not several and (returns is not None or facts["gen"]) else None
        call = (partial(SeveralCall, returns or 0) if several else Call)(
            ref.slot,
            self._name,
            f"{card.cls_name}.{self._name}",
            arguments,
            given,
            [handle, *keep],
            options.get("max_task_retries", card.max_task_retries),
            options.get("concurrency_group", facts["group"]),
            None if items is None else items.take,
        )
        if isinstance(call, SeveralCall):
            return client.calls.submit_several(line, call)
        call.returns = returns
        client.calls.submit(line, call)
        return ref if items is None else items
