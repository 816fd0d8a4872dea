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
    """In a placement group: in the bundle of that index, or, with -1, in the first that has room."""

    placement_group: PlacementGroup
    placement_group_bundle_index: int = -1
    placement_group_capture_child_tasks: bool = False
