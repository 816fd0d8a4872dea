"""Calls of this process that have no result yet."""

from __future__ import annotations

from ..errors import ActorDiedError, TwinkleError, WorkerDiedError
from .actor_line import ActorLine
from .calls import Call
from .link import Link
from .objects import Objects
from .protocol import Report
from .refs import ObjectRef, Slot
from .report import report
from .several import SeveralCall
from .task_lane import TaskLane


class UnderWay:
    """Thread-safe."""

    def __init__(self, link: Link, objects: Objects) -> None:
        self._link = link
        self._objects = objects
        self._calls: dict[str, tuple[ActorLine | TaskLane, Call]] = {}

    def report(self, token: int) -> Report:
        """What the node has asked for."""
        return report(token, list(self._calls.values()))

    def submit(self, way: ActorLine | TaskLane, call: Call) -> None:
        """Send a call its way."""
        if self._link.over is not None:
            raise self._link.over
        self._calls[call.slot.id] = (way, call)
        self._objects.refs.when_done(call.slot, self._over)
        way.submit(call)

    def submit_several(self, way: ActorLine | TaskLane, call: SeveralCall) -> list[ObjectRef] | None:
        """Send a call whose result is several objects; references to them. None: there are none."""
        refs = call.begin(self._objects, self._filled)
        self.submit(way, call)
        return refs or None

    def _over(self, slot: Slot) -> None:
        """A call has its result, which the node may keep for this process."""
        self._calls.pop(slot.id, None)
        stored = slot.stored
        if stored is not None and stored.value is None and not slot.known:
            # It may have been sealed by a worker that could not say so any more.
            at_node = isinstance(stored.error, (ActorDiedError, WorkerDiedError))
            if at_node:
                self._objects.give_up([slot.id])
            return
        self._filled(slot)

    def _filled(self, slot: Slot) -> None:
        """It has its value. Sealed by its worker, it is held for this process, also when that was promised to others and let go before."""
        stored = slot.stored
        if stored is not None and stored.value is not None and stored.value.at == slot.id:
            slot.known = True
            if self._objects.refs.get(slot.id) is not slot:  # nobody here wants it any more
                self._objects.give_up([slot.id])

    def cancel(self, ref: ObjectRef, force: bool, recursive: bool) -> None:
        """Cancel the call whose result that is, or is a part of; one that has its result stays as it is."""
        found = self._calls.get(ref.slot.id)
        if found is None:
            found = self._calls.get(ref.slot.id.rpartition(".")[0])
            if found is None or not isinstance(found[1], SeveralCall) or ref.slot not in found[1].slots:
                return
        way, call = found
        if force and isinstance(way, ActorLine):
            raise TwinkleError(
                "INVALID_REQUEST", f"`force` is for tasks, and {call.where} is of an actor: use kill() to end that"
            )
        self._cancel(way, call, force, recursive)

    def cancel_children(self, parent: str, force: bool) -> None:
        """Cancel what was called within that call, and what that has called."""
        for way, call in list(self._calls.values()):
            if call.parent == parent:
                self._cancel(way, call, force and isinstance(way, TaskLane), True)

    def _cancel(self, way: ActorLine | TaskLane, call: Call, force: bool, recursive: bool) -> None:
        call.cancelled = True
        way.withdraw(call)
        told = {"worker": -1, "ref": call.slot.id, "force": force, "recursive": recursive}
        if isinstance(way, TaskLane):
            worker = way.worker_of(call)
            if worker is not None:
                self._link.tell("interrupt", {**told, "worker": worker})
        elif recursive:
            self._link.tell("interrupt", {**told, "actor": way.actor})
