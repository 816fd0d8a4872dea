"""The Tinker SDK trains and samples a model that vLLM serves: ``python tinker_vllm.py BASE_URL MODEL_FOLDER``; TINKER_API_KEY is the key.

Prints ``ready``, and reads a line when the test has killed the engine; then one JSON object of what it saw, which the test compares.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import tinker
from tinker import types
from tinker_errors import error_of
from tinker_training import PAIRS, datum, steps
from tinker_weights import ANSWER, QUESTION, gap, likelihoods, says, trained

LONG = types.SamplingParams(max_tokens=400, temperature=1.0, seed=1, stop=[])


def main() -> None:
    """All of it, in one session."""
    url, folder = sys.argv[1:3]
    service = tinker.ServiceClient(base_url=url)
    client = service.create_lora_training_client(base_model=folder, rank=8, seed=1).result()
    tokenizer = client.get_tokenizer()
    tokens = tokenizer.encode(QUESTION + ANSWER, add_special_tokens=False)
    seen: dict[str, Any] = {}
    base = service.create_sampling_client(base_model=folder).result()
    seen["base"] = says(base, tokenizer)
    steps(client, [datum(tokenizer, *pair) for pair in PAIRS], 12)
    snapshot = client.save_weights_and_get_sampling_client().result()
    followed = client.save_weights_and_get_sampling_client(kind="inflight").result()
    seen["snapshot"] = says(snapshot, tokenizer)
    of_snapshot = likelihoods(snapshot, tokens)
    seen["gap"] = gap(of_snapshot, trained(client, tokens))
    seen["base again"] = says(base, tokenizer) == seen["base"]

    # Its weights are replaced while it runs, and others take their place in the engine, which has room for one.
    prompt = types.ModelInput.from_ints(tokens[:6])
    running = [followed.sample(prompt, 1, LONG) for _ in range(3)]
    likelihoods(followed, tokens)  # in the same batch: they run
    steps(client, [datum(tokenizer, QUESTION, " It is a green horse.")], 12)
    client.save_weights_and_get_sampling_client(kind="inflight").result()
    path = client.save_weights_for_sampler("named").result().path
    named = service.create_sampling_client(model_path=path).result()
    seen["ran on"] = [len(one.result().sequences[0].tokens) for one in running]
    now = trained(client, tokens)
    seen["followed"] = gap(likelihoods(followed, tokens), now)
    seen["named"] = gap(likelihoods(named, tokens), now)
    seen["says now"] = says(followed, tokenizer)
    seen["snapshot stays"] = gap(likelihoods(snapshot, tokens), of_snapshot)

    seen["wide"] = error_of(lambda: service.create_lora_training_client(base_model=folder, rank=32).result())

    print("ready", flush=True)
    sys.stdin.readline()
    seen["told again"] = [
        gap(likelihoods(sampler, tokens), expected)
        for sampler, expected in ((snapshot, of_snapshot), (followed, now), (named, now))
    ]
    print(json.dumps({**seen, "path": path}))


if __name__ == "__main__":
    main()
