"""``TwinkleClient`` of twinkle-kit asks all that it can ask of the gateway. Arguments: url, demo model, id of a run that has checkpoints
``weights/one`` and ``weights/two``. Prints one line of JSON, what it heard."""

from __future__ import annotations

import json
import sys
from typing import Any

from requests import HTTPError
from twinkle_client.http import http_post
from twinkle_client.manager import TwinkleClient

URL, _, RUN = sys.argv[1:]


def refused(act: Any) -> str:
    try:
        act()
    except HTTPError as error:
        return str(error)
    raise AssertionError("it was not refused")


client = TwinkleClient(base_url=URL, api_key="key", session_heartbeat_interval=1, session_metadata={"who": "tour"})
assert client.health_check()
run = client.get_training_run(RUN)
runs, cursor = client.list_training_runs_with_cursor(limit=1)
checkpoints = client.list_checkpoints(RUN)
path = client.get_checkpoint_path(RUN, "weights/one")
weights = client.get_weights_info(path.twinkle_path)
heard = {
    "models": [model.model_name for model in client.get_server_capabilities().supported_models],
    "capacity": client.get_capacity_info().model_dump(),
    "runs": [one.training_run_id for one in client.list_training_runs()],
    "page": [len(runs), cursor.total_count],
    "of_model": [one.training_run_id for one in client.find_training_run_by_model(run.base_model)],
    "rank": run.lora_rank,
    "last": (run.last_checkpoint or {}).get("checkpoint_id"),
    "checkpoints": [one.checkpoint_id for one in checkpoints],
    "sizes": all(one.size_bytes > 0 for one in checkpoints),
    "path": path.path,
    "twinkle_path": client.get_checkpoint_twinkle_path(RUN, "weights/one"),
    "latest": client.get_latest_checkpoint_path(RUN),
    "weights": weights.model_dump(),
    "deleted": client.delete_checkpoint(RUN, "weights/one").success,
    "left": [one.checkpoint_id for one in client.list_checkpoints(RUN)],
    "again": refused(lambda: client.delete_checkpoint(RUN, "weights/one")),
    "nobody": refused(lambda: client.get_training_run("nobody")),
    "unknown_session": refused(
        lambda: http_post(f"{client.base_url}/twinkle/session_heartbeat", json_data={"session_id": "nobody"})
    ),
}
client.close()
print(json.dumps(heard), flush=True)
