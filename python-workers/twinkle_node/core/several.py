"""Calls whose result is several objects: ``num_returns=N``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .calls import Call
from .objects import Objects
from .refs import ObjectRef, Slot
from .stored import Stored


class SeveralCall(Call):
    """Its own slot is nobody's: it has a value when the call is over. ``<its id>.0``, ``<its id>.1``, … are what the caller gets."""

    __slots__ = ("_count", "_parts", "slots")

    def __init__(self, count: int, *call: Any) -> None:
        super().__init__(*call)
        self.returns = self._count = count
        self.slots: list[Slot] = []
        self._parts: list[Stored] = []

    def take(self, stored: Stored) -> None:
        self._parts.append(stored)

    def begin(self, objects: Objects, over: Callable[[Slot], None]) -> list[ObjectRef]:
        """References to its values. ``over`` is told of each that has its value."""
        refs = [objects.new_part(self.slot.id, at) for at in range(self._count)]
        self.slots = [ref.slot for ref in refs]
        for slot in self.slots:
            objects.refs.when_done(slot, over)
        objects.refs.when_done(self.slot, lambda slot: self._settle(slot.stored, objects))
        return refs

    def _settle(self, stored: Stored | None, objects: Objects) -> None:
        """It is over: each has its part, or all have the error."""
        # Of those that came the last: a try that was lost may have sent some before it.
        parts, self._parts = self._parts[-len(self.slots) :], []
        if stored is not None and stored.failed:
            parts = [stored] * len(self.slots)
            # Some may have been sealed before it failed; those that others have been promised hear of the error.
            objects.give_up([slot.id for slot in self.slots if not slot.known])
        for slot, part in zip(self.slots, parts, strict=True):
            objects.refs.fulfil(slot, part)
