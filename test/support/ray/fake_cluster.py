"""A Ray cluster of fake nodes on this machine: one raylet per node, loopback only, everything it writes in a folder that goes with it.

Knows nothing of placement; the sequences, the refusals and the bench are built on it.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from typing import Any

# Read by Ray when it is imported.
os.environ.update(RAY_USAGE_STATS_ENABLED="0", RAY_AUTH_MODE="disabled")

import ray
from ray._private import services
from ray.cluster_utils import Cluster

MIB = 1024 * 1024
# Exactly this one: with any other address, loopback too, Ray listens on all interfaces.
LOOPBACK = "127.0.0.1"
# Ray would have the driver look for 127.0.0.1 at the address of an interface, where nobody listens.
services.get_node_ip_address = lambda address=None: LOOPBACK


def node_arguments(resources: dict[str, float], labels: dict[str, str]) -> dict[str, Any]:
    """What `Cluster.add_node` wants for `{"CPU": 4, "GPU": 2, "other": 1}`; fake GPUs need no driver."""
    custom = {name: amount for name, amount in resources.items() if name not in ("CPU", "GPU")}
    return {
        "num_cpus": resources.get("CPU", 0),
        "num_gpus": resources.get("GPU", 0),
        "resources": custom,
        "labels": labels,
        "memory": 512 * MIB,
        "object_store_memory": 80 * MIB,
        "node_ip_address": LOOPBACK,
        "include_dashboard": False,
        "include_log_monitor": False,
    }


@contextlib.contextmanager
def fake_cluster(nodes: list[dict[str, Any]], prestart: bool = False) -> Iterator[list[str]]:
    """Start `nodes` (`{"res": …, "labels": …}`; the first is the head), connect, and yield the node ids in that order.

    prestart: whether Ray may start Python workers ahead of need, as it does by default; placement needs none.
    """
    folder = tempfile.mkdtemp(prefix="tw-ray-")
    os.environ["RAY_TMPDIR"] = folder
    settings = {} if prestart else {"enable_worker_prestart": False, "prestart_worker_first_driver": False}
    cluster = Cluster()
    try:
        ids = []
        for index, node in enumerate(nodes):
            extra = {"_system_config": settings, "temp_dir": os.path.join(folder, "ray")} if index == 0 else {}
            ids.append(cluster.add_node(**node_arguments(node["res"], node.get("labels", {})), **extra).node_id)
        ray.init(address=cluster.address, namespace="twinkle", log_to_driver=False, logging_level="ERROR")
        yield ids
    finally:
        ray.shutdown()
        cluster.shutdown()
        shutil.rmtree(folder, ignore_errors=True)
