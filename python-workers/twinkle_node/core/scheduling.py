"""Strategies that say where a task or an actor runs."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class NodeAffinitySchedulingStrategy:
    """On that node. ``soft``: elsewhere when it is gone or can never take it."""

    node_id: str
    soft: bool
