"""The Tinker SDK saves and resumes runs: ``python tinker_checkpoints.py BASE_URL MODEL_FOLDER save|resume``; TINKER_API_KEY is the key.

``save`` prints what it did and the losses of going on; ``resume`` reads that from stdin, begins from the checkpoint and must see the same.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import tinker
from tinker import types
from tinker_errors import error_of

ADAM = types.AdamParams(learning_rate=5e-3)


def examples(tokenizer: Any) -> list[types.Datum]:
    """Two sequences; every token counts."""
    texts = ["The secret word is zebra.", "Goodbye my friend, until tomorrow."]
    all_tokens = [tokenizer.encode(text, add_special_tokens=False) for text in texts]
    return [
        types.Datum(
            model_input=types.ModelInput.from_ints(tokens[:-1]),
            loss_fn_inputs={"target_tokens": tokens[1:], "weights": [1.0] * (len(tokens) - 1)},
        )
        for tokens in all_tokens
    ]


def steps(client: Any, data: list[types.Datum], count: int) -> list[float]:
    """Train; the losses."""
    asked = [(client.forward_backward(data, "cross_entropy"), client.optim_step(ADAM)) for _ in range(count)]
    return [passed.result().metrics["loss:sum"] for passed, _ in asked]


def in_turns(service: tinker.ServiceClient, folder: str) -> list[list[float]]:
    """Two runs, one step of each after one of the other: their losses."""
    clients = [service.create_lora_training_client(base_model=folder, rank=4, seed=seed).result() for seed in (5, 6)]
    data = examples(clients[0].get_tokenizer())
    return [[loss for client in clients for loss in steps(client, data, 1)] for _ in range(4)]


def save(service: tinker.ServiceClient, rest: tinker.RestClient, folder: str) -> dict[str, Any]:
    """Train, save in between, go on."""
    client = service.create_lora_training_client(
        base_model=folder, rank=4, seed=3, user_metadata={"who": "e2e"}
    ).result()
    data = examples(client.get_tokenizer())
    steps(client, data, 3)
    path = client.save_state("half-way").result().path
    seen: dict[str, Any] = {"path": path, "further": steps(client, data, 3)}
    seen["twice"] = error_of(lambda: client.save_state("half-way").result())
    seen["nowhere"] = error_of(lambda: client.save_state("../up").result())
    replaced = client.save_state("half-way-too").result().path
    short = client.save_state("short", ttl_seconds=3600).result().path
    run = client.get_info().model_id
    listed = rest.list_checkpoints(run).result().checkpoints
    seen["listed"] = [
        [one.checkpoint_id, one.checkpoint_type, (one.size_bytes or 0) > 1000, one.expires_at is not None]
        for one in listed
    ]
    info = rest.get_weights_info_by_tinker_path(path).result()
    seen["info"] = [info.base_model == folder, info.is_lora, info.lora_rank]
    rest.publish_checkpoint_from_tinker_path(path).result()
    seen["public"] = [
        one.public for one in rest.list_user_checkpoints().result().checkpoints if one.tinker_path == path
    ]
    rest.unpublish_checkpoint_from_tinker_path(path).result()
    rest.delete_checkpoint_from_tinker_path(replaced).result()
    seen["gone"] = error_of(lambda: rest.get_weights_info_by_tinker_path(replaced).result())
    stranger = tinker.RestClient(base_url=sys.argv[1], api_key="tml-somebody-else")
    seen["stranger"] = error_of(lambda: stranger.get_weights_info_by_tinker_path(path).result())
    last = rest.get_training_run(run).result().last_checkpoint
    seen["last"] = last is not None and last.checkpoint_id
    rest.set_checkpoint_ttl_from_tinker_path(short, 1).result()
    seen["in_turns"] = in_turns(service, folder)
    return seen


def resume(
    service: tinker.ServiceClient, rest: tinker.RestClient, folder: str, before: dict[str, Any]
) -> dict[str, Any]:
    """What was saved, in a server that was killed and started again."""
    path = before["path"]
    client = service.create_training_client_from_state_with_optimizer(path).result()
    data = examples(client.get_tokenizer())
    plain = service.create_training_client_from_state(path).result()
    [run] = rest.list_training_runs().result().training_runs[:1]
    seen: dict[str, Any] = {
        "same": steps(client, data, 3) == before["further"],
        "without_optimizer": steps(plain, data, 3) != before["further"],
        "run": [run.training_run_id == path.split("/")[2], run.corrupted, run.user_metadata],
    }
    client.load_state_with_optimizer(path).result()
    seen["loaded_in_place"] = steps(client, data, 3) == before["further"]
    missing = path.replace("half-way", "nothing")
    seen["in_turns"] = in_turns(service, folder) == before["in_turns"]
    seen["missing"] = error_of(lambda: service.create_training_client_from_state(missing).result())
    return seen


def main() -> None:
    """One of the two halves."""
    url, folder, half = sys.argv[1:4]
    service = tinker.ServiceClient(base_url=url)
    rest = tinker.RestClient(base_url=url)
    before = {} if half == "save" else json.loads(sys.stdin.readline())
    seen = save(service, rest, folder) if half == "save" else resume(service, rest, folder, before)
    print(json.dumps(seen))


if __name__ == "__main__":
    main()
