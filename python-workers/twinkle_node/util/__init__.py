"""What programs build of actors: a pool of them, a queue between processes (``twinkle_node.util.queue``)."""

from __future__ import annotations

from ..core.groups import (
    get_current_placement_group,
    get_placement_group,
    placement_group,
    placement_group_table,
    remove_placement_group,
)
from .actor_pool import ActorPool

__all__ = [
    "ActorPool",
    "get_current_placement_group",
    "get_placement_group",
    "placement_group",
    "placement_group_table",
    "remove_placement_group",
]
