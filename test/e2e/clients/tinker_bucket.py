"""The Tinker SDK over servers that share a bucket and no disk: ``python tinker_bucket.py BASE_URL MODEL_FOLDER save|resume``.

``save`` prints where its run is and the losses of going on; ``resume`` reads that from stdin and must see the same.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import tinker
from tinker import types
from tinker_checkpoints import examples, steps


def save(service: tinker.ServiceClient, folder: str) -> dict[str, Any]:
    """Train, save in between, go on."""
    client = service.create_lora_training_client(base_model=folder, rank=4, seed=3).result()
    data = examples(client.get_tokenizer())
    steps(client, data, 3)
    path = client.save_state("half-way").result().path
    sampled = client.save_weights_for_sampler("sampled").result().path
    prompt = data[0].model_input
    sampler = service.create_sampling_client(model_path=sampled).result()
    return {
        "path": path,
        "sampled": sampled,
        "logprobs": sampler.compute_logprobs(prompt).result(),
        "further": steps(client, data, 3),
    }


def resume(service: tinker.ServiceClient, before: dict[str, Any]) -> dict[str, Any]:
    """What was saved, on another machine."""
    client = service.create_training_client_from_state_with_optimizer(before["path"]).result()
    data = examples(client.get_tokenizer())
    sampler = service.create_sampling_client(model_path=before["sampled"]).result()
    prompt: types.ModelInput = data[0].model_input
    return {
        "same": steps(client, data, 3) == before["further"],
        "sampled": sampler.compute_logprobs(prompt).result() == before["logprobs"],
    }


def main() -> None:
    """One of the two halves."""
    url, folder, half = sys.argv[1:4]
    service = tinker.ServiceClient(base_url=url)
    seen = save(service, folder) if half == "save" else resume(service, json.loads(sys.stdin.readline()))
    print(json.dumps(seen))


if __name__ == "__main__":
    main()
