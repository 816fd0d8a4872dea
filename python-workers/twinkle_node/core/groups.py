"""Placement groups: places that are reserved together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from ..errors import ConfigError, TwinkleError
from .client import current
from .context import get_context
from .link import Asked
from .protocol import Demand, PlaceInGroup
from .refs import ObjectRef
from .stored import Stored

STRATEGIES = ("PACK", "SPREAD", "STRICT_PACK", "STRICT_SPREAD")


class PlacementGroup:
    """Bundles of resources, each on one box. ``tn.get(group.ready())`` waits until all have their places."""

    def __init__(self, group_id: str, bundles: Sequence[Mapping[str, float]]) -> None:
        self._id = group_id
        self._bundles = [dict(bundle) for bundle in bundles]

    @property
    def id(self) -> str:
        return self._id

    @property
    def bundle_specs(self) -> list[dict[str, float]]:
        """What each bundle asks for."""
        return [dict(bundle) for bundle in self._bundles]

    @property
    def bundle_count(self) -> int:
        return len(self._bundles)

    def ready(self) -> ObjectRef:
        """A reference to this group, which is there when every bundle has its place."""
        client = current()
        refs = client.objects.refs
        made = client.put(self)
        ref = client.objects.new_ref()

        def answered(asked: Asked) -> None:
            stored = made.slot.stored if asked.error is None else Stored(None, error=asked.error)
            if stored is not None:
                refs.fulfil(ref.slot, stored)

        client.link.ask("group.ready", {"id": self._id}, then=answered)
        return ref

    def wait(self, timeout_seconds: float = 30) -> bool:
        """Whether every bundle has its place within that time."""
        ready, _ = current().wait([self.ready()], 1, timeout_seconds)
        return len(ready) == 1

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PlacementGroup) and other._id == self._id

    def __hash__(self) -> int:
        return hash(self._id)

    def __repr__(self) -> str:
        return f"PlacementGroup({self._id}, {self._bundles})"


def placement_group(
    bundles: Sequence[Mapping[str, float]],
    strategy: str = "PACK",
    name: str = "",
    lifetime: str | None = None,
) -> PlacementGroup:
    """Reserve bundles like ``[{"GPU": 1}, {"CPU": 2}]``. Ends with this program, or with ``lifetime="detached"`` by remove_placement_group.

    Raises ConfigError for a wrong request, TwinkleError ``GROUP_NAME_TAKEN``.
    """
    if strategy not in STRATEGIES:
        raise ConfigError(
            "PLACEMENT_INVALID", f"expected one of {', '.join(STRATEGIES)} for `strategy` but received {strategy!r}"
        )
    if lifetime not in (None, "detached"):
        raise ConfigError("PLACEMENT_INVALID", f'expected None or "detached" for `lifetime` but received {lifetime!r}')
    client = current()
    asked = {
        "bundles": [dict(bundle) for bundle in bundles],
        "strategy": strategy,
        "name": name,
        "namespace": client.namespace,
        "detached": lifetime == "detached",
    }
    try:
        answer, _ = client.link.call("group.create", asked)
    except TwinkleError as error:
        if error.code == "PLACEMENT_INVALID":
            raise ConfigError(error.code, error.message, error.details) from None
        raise
    return PlacementGroup(answer, bundles)


def get_placement_group(name: str) -> PlacementGroup:
    """The group of that name in this program's namespace. Raises TwinkleError ``GROUP_NOT_FOUND``."""
    client = current()
    answer, _ = client.link.call("group.find", {"name": name, "namespace": client.namespace})
    return PlacementGroup(answer["id"], answer["bundles"])


def get_current_placement_group() -> PlacementGroup | None:
    """The group that this task or actor runs in; None: in none."""
    current()
    context = get_context()
    within = None if context is None or context.setup is None else context.setup.within
    return None if within is None else PlacementGroup(within.id, within.bundles)


def captured(demand: Demand, strategy: Any) -> Demand:
    """The demand of what is started here: placed in the group of this worker if that says so, and ``strategy`` says nothing."""
    context = get_context()
    within = None if context is None or context.setup is None else context.setup.within
    if within is None or not within.capture or strategy is not None:
        return demand
    return msgspec.structs.replace(demand, group=PlaceInGroup(within.id, -1, True))


def remove_placement_group(group: PlacementGroup) -> None:
    """Give its places back: actors and tasks in it end. Idempotent."""
    current().link.call("group.remove", {"id": group.id})


def placement_group_table() -> dict[str, dict[str, Any]]:
    """Every group of the cluster, by id."""
    snapshot, _ = current().link.call("cluster.snapshot", {})
    return {
        group["id"]: {
            "placement_group_id": group["id"],
            "name": group["name"],
            "strategy": group["strategy"],
            "state": group["state"],
            "bundles": {bundle["index"]: dict(bundle["resources"]) for bundle in group["bundles"]},
            "bundles_to_node_id": {bundle["index"]: bundle["node"] for bundle in group["bundles"]},
        }
        for group in snapshot["groups"]
        if group["kind"] == "group"
    }
