"""Calls to another box and its objects, measured: ``python far_figures.py ray`` makes two nodes on this machine, ``python far_figures.py
twinkle_node HOME`` joins the head of that home, which an agent has joined. Both are asked by the same lines.

Prints the figures as one JSON object.
"""

import importlib
import json
import os
import statistics
import sys
import time

import numpy as np
from figures import best, created, rate, seconds, timed

NAME = sys.argv[1]
MEGABYTE = 1_000_000


def main():
    core = importlib.import_module(NAME)
    join_s, leave = join(core)
    try:
        figures = measured(core)
    finally:
        core.shutdown()
        leave()
    if join_s is not None:
        figures["joinS"] = join_s
    print(json.dumps(figures), flush=True)


def measured(core):
    strategies = importlib.import_module(f"{NAME}.util.scheduling_strategies")
    here = core.get_runtime_context().get_node_id()
    (far,) = (node["NodeID"] for node in core.nodes() if node["NodeID"] != here)
    there = strategies.NodeAffinitySchedulingStrategy(far, soft=False)

    class Echo:
        def one(self):
            return 1

        def make(self, count):
            return np.full(count, 1.0)

        def total(self, array):
            return float(array[0] + array[-1])

        def where(self):
            return core.get_runtime_context().get_node_id()

    class Small:  # its process imports nothing
        def one(self):
            return 1

    actor = core.remote(Echo).options(scheduling_strategy=there)
    small = core.remote(Small).options(scheduling_strategy=there)

    echo = actor.remote()
    if core.get(echo.where.remote()) != far:
        raise RuntimeError("the actor is not on the other box")
    array = np.random.default_rng(1).random(8 * MEGABYTE)

    def fetch_s():
        """A value that another box has written, until it is read here."""
        ref = echo.make.remote(len(array))
        core.get(echo.one.remote())  # it is written by now
        return seconds(lambda: core.get(ref))

    def send_s():
        ref = core.put(array)
        return seconds(lambda: core.get(echo.total.remote(ref)))

    return {
        "actorSync": rate(500, lambda: core.get(echo.one.remote())),
        "actorPipelined": best(lambda: timed(5000, lambda count: core.get([echo.one.remote() for _ in range(count)]))),
        "createMs": statistics.median(created(core, small) for _ in range(10)) * 1000,
        "getGBs": best(lambda: array.nbytes / 1e9 / fetch_s()),
        "argumentGBs": best(lambda: array.nbytes / 1e9 / send_s()),
    }


def join(core):
    """Seconds that the second node took to join, and what ends both nodes; None: somebody else had it join, and ends them."""
    if NAME != "ray":
        core.init("auto", home=sys.argv[2])
        return None, lambda: None
    cluster = importlib.import_module("ray.cluster_utils").Cluster(
        initialize_head=True, head_node_args={"num_cpus": 2, "include_dashboard": False}
    )
    begun = time.perf_counter()
    cluster.add_node(num_cpus=2)
    took = time.perf_counter() - begun
    core.init(address=cluster.address, logging_level="error", log_to_driver=False)
    return took, cluster.shutdown


if __name__ == "__main__":
    os.environ.setdefault("RAY_DEDUP_LOGS", "0")
    main()
