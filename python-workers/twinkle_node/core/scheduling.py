"""Strategies that say where a task or an actor runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .groups import PlacementGroup


@dataclass(frozen=True)
class NodeAffinitySchedulingStrategy:
    """On that node. ``soft``: elsewhere when it is gone or can never take it."""

    node_id: str
    soft: bool


@dataclass(frozen=True)
class PlacementGroupSchedulingStrategy:
    """In a placement group: in the bundle of that index, or, with -1, in the first that has room. None: in none, wherever it is started.

    ``placement_group_capture_child_tasks``: what it starts runs in the group, too, unless that has a strategy of its own."""

    placement_group: PlacementGroup | None
    placement_group_bundle_index: int = -1
    placement_group_capture_child_tasks: bool = False
