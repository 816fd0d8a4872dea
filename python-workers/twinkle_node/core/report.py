"""What this process has called and waits for: what `list tasks` shows of it."""

from __future__ import annotations

from collections.abc import Iterable

from .actor_line import ActorLine
from .calls import Call
from .protocol import CallFacts, Report
from .task_lane import TaskLane

MOST = 10_000
"""Calls of a report: the oldest."""


def report(token: int, calls: Iterable[tuple[ActorLine | TaskLane, Call]]) -> Report:
    """The answer to a question for it."""
    all_calls = list(calls)
    told = [_facts(way, call) for way, call in all_calls[:MOST]]
    more = len(all_calls) - len(told)
    return Report(token, told, more) if more > 0 else Report(token, told)


def _facts(way: ActorLine | TaskLane, call: Call) -> CallFacts:
    worker = way.worker_of(call)
    state = "WAITING" if worker is None else "RUNNING"
    kind = "task" if isinstance(way, TaskLane) else "actor"
    return CallFacts(call.slot.id, call.where, kind, state, worker or None, int(call.since * 1000))
