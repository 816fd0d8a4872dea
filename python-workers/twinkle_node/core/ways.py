"""Where calls of this process go: a line to each actor, a lane for tasks of each kind."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import msgspec

from ..errors import TwinkleError
from .actor_line import ActorLine
from .calls import Call, WorkerLine
from .link import Link
from .objects import Objects
from .protocol import ActorCard, ActorState, Demand, Joined
from .pump import Pump
from .stored import Stored
from .task_lane import TaskLane


class Ways:
    """Thread-safe. ``told`` hears what the node says of them, ``tick`` has to be called now and then."""

    def __init__(self, pump: Pump, link: Link, objects: Objects, joined: Joined) -> None:
        self._pump = pump
        self._link = link
        self._objects = objects
        self._joined = joined
        self._lock = threading.Lock()
        self._lines: dict[str, ActorLine] = {}
        self._lanes: dict[bytes, TaskLane] = {}

    def line(self, card: ActorCard) -> ActorLine:
        """The calls of this process to an actor."""
        line = self._lines.get(card.id)
        if line is not None:
            return line
        with self._lock:
            line = self._lines.get(card.id)
            if line is None:
                line = self._lines[card.id] = ActorLine(card, self._objects.refs, self._connect)
                if self._link.over is not None:
                    line.fail(self._link.over)
                self._link.tell("actor.watch", {"id": card.id})
        return line

    def lane(self, demand: Demand) -> TaskLane:
        """Tasks of that demand."""
        key = msgspec.msgpack.encode(demand)
        with self._lock:
            lane = self._lanes.get(key)
            if lane is None:
                lane = self._lanes[key] = TaskLane(demand, self._link, self._objects.refs, self._connect)
            return lane

    def told(self, method: str, params: Any, body: memoryview) -> bool:
        """The node says something. Returns whether it was of these."""
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
        else:
            return False
        return True

    def tick(self) -> bool:
        """Give back workers that did nothing for long. Returns whether there are others."""
        lanes = [lane for lane in list(self._lanes.values()) if lane.keeps]
        for lane in lanes:
            lane.tick()
        return len(lanes) > 0

    def fail(self, error: TwinkleError) -> None:
        """The node is away."""
        for way in (*list(self._lines.values()), *list(self._lanes.values())):
            way.fail(error)

    def _connect(
        self,
        path: str,
        node: str,
        on_over: Callable[[Call, Stored], None],
        on_end: Callable[[str], None],
        in_turn: bool,
    ) -> WorkerLine:
        dial = (self._joined.instance, self._joined.client)
        far = node != self._joined.node
        return WorkerLine(path, dial, (self._pump, self._link, self._objects), on_over, on_end, in_turn, far)
