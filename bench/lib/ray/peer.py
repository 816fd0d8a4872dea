"""Ray's side of `npm run bench -- ray`: the same groups on as many raylets. Nodes and rounds come as JSON on stdin.

Prints `{"startedS"}` when the cluster is there, waits for a line, then prints the figures: ms per round, groups per second.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "test" / "support" / "ray"))

from fake_cluster import fake_cluster, ray
from ray.util.placement_group import (
    PlacementGroup,
    placement_group,
    placement_group_table,
    remove_placement_group,
)

WAIT_S = 60


def ready(group: PlacementGroup) -> None:
    """Wait until it is created."""
    if not group.wait(WAIT_S):
        raise TimeoutError(f"a group was not created within {WAIT_S} s")


def wait_free() -> None:
    """Every GPU is free again."""
    end = time.monotonic() + WAIT_S
    while ray.available_resources().get("GPU") != ray.cluster_resources()["GPU"]:
        if time.monotonic() > end:
            raise TimeoutError("the GPUs did not come back")
        time.sleep(0.02)


def create_ready(bundles: int, rounds: int) -> list[float]:
    """ms of each round: create a group over the nodes, wait until it is created."""
    times = []
    for number in range(-2, rounds):
        begun = time.perf_counter()
        group = placement_group([{"GPU": 1}] * bundles, "SPREAD")
        ready(group)
        if number >= 0:
            times.append((time.perf_counter() - begun) * 1000)
        remove_placement_group(group)
        wait_free()
    return times


def churn(count: int, rounds: int) -> list[float]:
    """Groups per second: so many of one bundle created, all awaited, all removed, as Ray's own microbenchmark does it."""
    rates = []
    for number in range(-1, rounds):
        begun = time.perf_counter()
        groups = [placement_group([{"custom": 0.001}]) for _ in range(count)]
        for group in groups:
            ready(group)
        for group in groups:
            remove_placement_group(group)
        if number >= 0:
            rates.append(count / (time.perf_counter() - begun))
    return rates


def after_release(nodes: int, rounds: int) -> list[float]:
    """ms from the removal of a group that holds every GPU until one that waited for them is created."""
    times = []
    for _ in range(rounds):
        holder = placement_group([{"GPU": 8}] * nodes, "STRICT_SPREAD")
        ready(holder)
        waiter = placement_group([{"GPU": 8}] * nodes, "STRICT_SPREAD")
        while placement_group_table(waiter)["stats"]["scheduling_state"] != "NO_RESOURCES":
            time.sleep(0.01)
        begun = time.perf_counter()
        remove_placement_group(holder)
        ready(waiter)
        times.append((time.perf_counter() - begun) * 1000)
        remove_placement_group(waiter)
        wait_free()
    return times


def main() -> None:
    """One cluster for all."""
    plan: dict[str, Any] = json.loads(sys.stdin.readline())
    begun = time.monotonic()
    with fake_cluster(plan["nodes"]):
        print(json.dumps({"startedS": time.monotonic() - begun}), flush=True)
        sys.stdin.readline()
        nodes = len(plan["nodes"])
        figures = {
            "createReady": {str(count): create_ready(count, plan["rounds"]) for count in plan["bundles"]},
            "churn": churn(plan["groups"], plan["churnRounds"]),
            "afterRelease": after_release(nodes, plan["releaseRounds"]),
        }
        print(json.dumps(figures), flush=True)


if __name__ == "__main__":
    main()
