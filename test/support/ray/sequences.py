"""Runs sequences of placement-group operations on real Ray clusters of fake nodes.

Reads one `{"case", "nodes", "ops"}` a line from stdin and writes `{"case", "result", "late_order", "done"}` a line to stdout: the form of
`outcomes[].result`, with node indices; `late_order` names the groups that had to wait in the order in which Ray created them, and
`late_after` is "create p3" where one found its place without a release. After each operation the cluster is left to settle: every group was
tried in the state that the operation made, and the free resources that Ray's control service knows are the ones that the groups leave.
After a node has refused a plan for shared devices, Ray may count its free resources too low until it hears from it again: a sequence ends
there, and `done` says how many operations were done. Knows nothing of twinkle-node; judging is the caller's.
"""

from __future__ import annotations

import itertools
import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from fake_cluster import fake_cluster
from ray._private.state import state as ray_state
from ray._raylet import PlacementGroupID
from ray.core.generated import gcs_pb2
from ray.util.placement_group import PlacementGroup, placement_group, remove_placement_group

UNITS = 10_000
DEVICES = ("GPU", "NPU")
SETTLE_S = 30.0
MISCOUNT_S = 3.0
POLL_S = 0.01
NODE_ID = "ray.io/node-id"

State = gcs_pb2.PlacementGroupTableData
Stats = gcs_pb2.PlacementGroupStats


@dataclass
class Group:
    """A group of a sequence, and what is known of it."""

    handle: PlacementGroup
    bundles: list[dict[str, float]]
    result: dict[str, Any] = field(default_factory=dict)
    seats: list[int] | None = None
    created_ns: int = 0
    attempts: int = 0


class Sequence:
    """One sequence on a cluster that is otherwise empty."""

    def __init__(self, nodes: list[dict[str, Any]], ids: list[str]) -> None:
        self.nodes = nodes
        self.ids = ids
        self.groups: dict[str, Group] = {}
        self.results: dict[str, Any] = {}
        self.late_order: list[str] = []
        self.fractional = False

    def run(self, operations: list[dict[str, Any]]) -> int:
        """Run all; results stand in `results`. Returns how many were run."""
        for done, operation in enumerate(operations, start=1):
            name = operation["op"]
            if name == "create":
                target = operation.get("target")
                group = placement_group(
                    operation["bundles"],
                    operation["strategy"],
                    bundle_label_selector=operation.get("labels"),
                    _soft_target_node_id=None if target is None else self.ids[target],
                )
                self._created(operation["id"], Group(group, operation["bundles"]))
            elif name == "occupy":
                there = [{NODE_ID: self.ids[operation["node"]]}]
                group = placement_group([operation["res"]], "PACK", bundle_label_selector=there)
                self._created(operation["id"], Group(group, [operation["res"]]))
            elif name == "remove":
                self._removed(operation["id"])
            else:
                raise ValueError(f"this driver does create, occupy and remove, not {name}")
            try:
                self._wait_free(operation["id"] if name == "remove" else f"{name} {operation['id']}")
            except TimeoutError:
                if not self.fractional:
                    raise
                return done
        return len(operations)

    def clean(self) -> None:
        """Remove every group and wait until all of the cluster is free."""
        for group in self.groups.values():
            remove_placement_group(group.handle)
        for group in self.groups.values():
            self._wait_removed(group)
        self.groups.clear()
        try:
            self._wait_free("the end")
        except TimeoutError:
            self._make_nodes_report()
            self._wait_free("the end")

    def _make_nodes_report(self) -> None:
        for node_id in self.ids:
            bundles: list[dict[str, float]] = [{"CPU": 1}]
            group = Group(placement_group(bundles, bundle_label_selector=[{NODE_ID: node_id}]), bundles)
            group.handle.wait(SETTLE_S)
            remove_placement_group(group.handle)
            self._wait_removed(group)

    def _created(self, name: str, group: Group) -> None:
        self.groups[name] = group
        self.fractional |= is_fractional(group.bundles)
        tries = 4 if is_fractional(group.bundles) else 1

        def settled() -> bool:
            self._look(group)
            return group.seats is not None or group.result["why"] == "INFEASIBLE" or group.attempts >= tries

        wait_until(settled, f"{name} to be tried")
        waits = group.seats is None
        group.result = dict(group.result) if waits else {"m": group.seats, "s": "created"}
        self.results[name] = group.result

    def _removed(self, name: str) -> None:
        group = self.groups.pop(name)
        remove_placement_group(group.handle)
        self._wait_removed(group)
        waiting = self._waiting()
        if group.seats is not None and waiting:
            self._await_retries(name, waiting)

    def _waiting(self) -> dict[str, Group]:
        return {
            key: waiter
            for key, waiter in self.groups.items()
            if waiter.seats is None and waiter.result.get("why") == "NO_RESOURCES"
        }

    def _await_retries(self, removed: str, waiting: dict[str, Group]) -> None:
        """Every one that waits was tried twice after the release, or was created: the first try may have begun before."""
        for waiter in waiting.values():
            self._look(waiter)
        # Created between the removal and now: counts as well.
        tries = {key: 4 if is_fractional(waiter.bundles) else 2 for key, waiter in waiting.items()}
        before = {key: waiter.attempts for key, waiter in waiting.items()}

        def settled() -> bool:
            for waiter in waiting.values():
                if waiter.seats is None:
                    self._look(waiter)
            return all(
                waiter.seats is not None or waiter.attempts >= before[key] + tries[key]
                for key, waiter in waiting.items()
            )

        wait_until(settled, f"those that wait to be tried after {removed}")
        self._note_late(waiting, removed)

    def _note_late(self, waiting: dict[str, Group], after: str) -> None:
        created = [(waiter.created_ns, key) for key, waiter in waiting.items() if waiter.seats is not None]
        for _, key in sorted(created):
            self.results[key] |= {"late": waiting[key].seats, "late_after": after}
            self.late_order.append(key)

    def _look(self, group: Group) -> None:
        """Take over what Ray's table says; nothing while it is being placed."""
        row = read_row(group.handle)
        group.attempts = row.stats.scheduling_attempt
        if row.state == State.CREATED:
            group.seats = [self.ids.index(bundle.node_id.hex()) for bundle in sorted_bundles(row)]
            group.created_ns = row.stats.creation_request_received_ns + row.stats.end_to_end_creation_latency_us * 1000
        elif group.seats is None:
            why = Stats.SchedulingState.Name(row.stats.scheduling_state)
            known = row.state == State.PENDING and why in ("NO_RESOURCES", "INFEASIBLE")
            if not known:
                group.attempts = 0
            group.result = {"s": "pending", "why": why}

    def _wait_removed(self, group: Group) -> None:
        wait_until(lambda: read_row(group.handle).state == State.REMOVED, "a removal")

    def _wait_free(self, after: str) -> None:
        """What the control service holds for free is what the groups leave; one that waited may find its place without any release."""

        def settled() -> bool:
            waiting = self._waiting()
            for waiter in waiting.values():
                self._look(waiter)
            self._note_late(waiting, after)
            rows = ray_state.available_resources_per_node()
            return all(
                round(rows.get(node_id, {}).get(name, 0) * UNITS) == amount
                for node_id, expected in zip(self.ids, self._left(), strict=True)
                for name, amount in expected.items()
            )

        wait_until(settled, f"the free resources {self._left()}", MISCOUNT_S if self.fractional else SETTLE_S)

    def _left(self) -> list[dict[str, int]]:
        """Units that the groups leave on each node."""
        free = [{name: round(amount * UNITS) for name, amount in node["res"].items()} for node in self.nodes]
        for group in self.groups.values():
            for bundle, seat in zip(group.bundles, group.seats or [], strict=False):
                for name, amount in bundle.items():
                    if amount:
                        free[seat][name] -= round(amount * UNITS)
        return free


def is_fractional(bundles: list[dict[str, float]]) -> bool:
    """Whether a device is shared: Ray's control service learns only by refused tries that pieces do not fit."""
    return any(bundle.get(name, 0) % 1 != 0 for bundle in bundles for name in DEVICES)


def sorted_bundles(row: Any) -> list[Any]:
    """By index."""
    return sorted(row.bundles, key=lambda bundle: bundle.bundle_id.bundle_index)


def read_row(group: PlacementGroup) -> Any:
    """The row of the group in Ray's table."""
    accessor = ray_state._connect_and_get_accessor()
    return State.FromString(accessor.get_placement_group_info(PlacementGroupID(group.id.binary())))


def wait_until(condition: Callable[[], bool], what: str, seconds: float = SETTLE_S) -> None:
    """Look every 10 ms: Ray tells nobody when a group was tried in vain.

    Raises:
        TimeoutError: after `seconds`.
    """
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"waited {seconds:.0f} s for {what}")
        time.sleep(POLL_S)


def main() -> None:
    """Cases that follow each other with the same nodes share a cluster."""
    cases = (json.loads(line) for line in sys.stdin if line.strip())
    for _, same in itertools.groupby(cases, key=lambda case: json.dumps(case["nodes"])):
        shared = list(same)
        with fake_cluster(shared[0]["nodes"]) as ids:
            for case in shared:
                sequence = Sequence(case["nodes"], ids)
                done = sequence.run(case["ops"])
                answer = {"result": sequence.results, "late_order": sequence.late_order, "done": done}
                print(json.dumps({"case": case["case"], **answer}), flush=True)
                sequence.clean()


if __name__ == "__main__":
    main()
