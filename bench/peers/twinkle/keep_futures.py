"""As many kept futures as asked for in the state file of a Twinkle server: copies of one that it wrote itself, under the server's own lock.

keep_futures.py STATE COUNT
"""

from __future__ import annotations

import copy
import sys
import uuid
from typing import Any

from twinkle.server.state.backend.file_backend import FileBackend

PREFIX = "future::"
ID = "req_"


def trained(entry: dict[str, Any]) -> bool:
    """Whether it is the future of a forward_backward that has its answer."""
    result = entry["value"].get("result")
    return isinstance(result, dict) and "loss_fn_outputs" in result


def main() -> None:
    backend = FileBackend(sys.argv[1])
    with backend._locked():
        state = backend._load_sync()
        futures = {key: entry for key, entry in state.items() if key.startswith(PREFIX)}
        pattern = next(entry for entry in futures.values() if trained(entry))
        for _ in range(int(sys.argv[2]) - len(futures)):
            state[f"{PREFIX}{ID}{uuid.uuid4().hex}"] = copy.deepcopy(pattern)
        backend._save_sync(state)


main()
