"""Asks a real Ray cluster which placement groups it refuses.

Reads `[{"name": …, "arguments": {…}, "alone": true}]` from stdin and writes one `{"name", "refused": null | "ValueError" | …, "message"}`
a line. `alone`: from a process of its own, since it may take the caller down ("abort"). Numbers that JSON lacks come as "@NaN", "@Infinity"
and "@-Infinity". Knows nothing of twinkle-node.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from fake_cluster import fake_cluster, ray
from ray.util.placement_group import placement_group, remove_placement_group

SPECIAL: dict[str, Any] = {
    "@NaN": float("nan"),
    "@Infinity": float("inf"),
    "@-Infinity": float("-inf"),
}


def unwrap(value: Any) -> Any:
    """Put back what JSON cannot say."""
    if isinstance(value, str):
        return SPECIAL.get(value, value)
    if isinstance(value, list):
        return [unwrap(item) for item in value]
    if isinstance(value, dict):
        return {name: unwrap(item) for name, item in value.items()}
    return value


def ask(arguments: dict[str, Any]) -> tuple[str | None, str]:
    """The class and the text of Ray's refusal; None when it took the group (which is removed again)."""
    try:
        group = placement_group(**unwrap(arguments))
    except Exception as error:  # whatever Ray raises is the answer
        return type(error).__name__, str(error)
    remove_placement_group(group)
    return None, ""


def ask_alone(row: dict[str, Any]) -> str:
    """The answer of a process of its own, as a line."""
    address = ray.get_runtime_context().gcs_address
    child = [sys.executable, __file__, address]
    done = subprocess.run(child, input=json.dumps(row), stdout=subprocess.PIPE, text=True, timeout=60, check=False)
    if done.returncode == 0:
        return done.stdout.strip().splitlines()[-1]
    return json.dumps({"name": row["name"], "refused": "abort", "message": f"exit status {done.returncode}"})


def answer(row: dict[str, Any]) -> str:
    """The answer of this process, as a line."""
    refused, message = ask(row["arguments"])
    return json.dumps({"name": row["name"], "refused": refused, "message": message})


def main() -> None:
    """All on one cluster; with an address, one row on the cluster there."""
    table = json.load(sys.stdin)
    if len(sys.argv) > 1:
        ray.init(address=sys.argv[1], namespace="twinkle", log_to_driver=False, logging_level="ERROR")
        print(answer(table), flush=True)
        return
    with fake_cluster([{"res": {"CPU": 4, "GPU": 4}, "labels": {}}]):
        for row in table:
            print(ask_alone(row) if row.get("alone") else answer(row), flush=True)


if __name__ == "__main__":
    main()
