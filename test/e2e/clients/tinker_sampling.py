"""The Tinker SDK samples from a running server: ``python tinker_sampling.py BASE_URL MODEL_FOLDER``; TINKER_API_KEY is the key.

Prints one JSON object of what it saw; the test compares. What the SDK itself must raise is asserted here.
"""

from __future__ import annotations

import asyncio
import json
import math
import pickle
import sys
from typing import Any

import tinker
from tinker import types

QUESTION = "What is the capital of France?"


def greedy(**changes: Any) -> types.SamplingParams:
    """Sampling without chance."""
    return types.SamplingParams(**{"max_tokens": 24, "temperature": 0.0, **changes})


def failure(client: Any, prompt: types.ModelInput, params: types.SamplingParams) -> str:
    """The words of a sample that cannot be."""
    try:
        client.sample(prompt, num_samples=1, sampling_params=params).result()
    except tinker.RequestFailedError as error:
        return str(error)
    raise AssertionError("it was answered")


async def asynchronous(client: Any, prompt: types.ModelInput, count: int) -> int:
    """Many at once; how many different answers came."""

    async def one(seed: int) -> Any:
        return await client.sample(prompt, 1, types.SamplingParams(max_tokens=8, seed=seed))

    answers = await asyncio.gather(*(one(seed) for seed in range(count)))
    return len({tuple(answer.sequences[0].tokens) for answer in answers})


def sampling(service: tinker.ServiceClient, folder: str) -> dict[str, Any]:
    """Samples, log-probabilities, stops, a clone, failures."""
    client = service.create_sampling_client(base_model=folder).result()
    tokenizer = client.get_tokenizer()
    text = tokenizer.apply_chat_template(
        [{"role": "user", "content": QUESTION}], add_generation_prompt=True, tokenize=False
    )
    prompt = types.ModelInput.from_ints(tokenizer.encode(text, add_special_tokens=False))
    seen: dict[str, Any] = {}

    answer = client.sample(prompt, num_samples=2, sampling_params=greedy()).result()
    first, second = answer.sequences
    seen["answer"] = tokenizer.decode(first.tokens, skip_special_tokens=True)
    seen["reason"] = first.stop_reason
    seen["same"] = list(first.tokens) == list(second.tokens)
    ids = [sequence.sequence_id for sequence in answer.sequences]
    seen["ids"] = [one.rsplit(":", 2)[-1] for one in ids]

    stopped = client.sample(prompt, 1, greedy(stop=["France"])).result().sequences[0]
    seen["stopped"] = [tokenizer.decode(stopped.tokens), stopped.stop_reason]
    endless = client.sample(prompt, 1, greedy(stop=[], max_tokens=40)).result().sequences[0]
    seen["endless"] = [len(endless.tokens), endless.stop_reason]
    by_id = client.sample(prompt, 1, greedy(stop=[int(first.tokens[2])])).result().sequences[0]
    seen["by_id"] = list(by_id.tokens) == list(first.tokens[:3])

    whole = types.ModelInput.from_ints([*prompt.to_ints(), *first.tokens])
    scores = client.compute_logprobs(whole).result()
    assert scores[0] is None
    ours = list(first.logprobs)
    theirs = scores[prompt.length :]
    seen["logprobs_agree"] = max(abs(a - b) for a, b in zip(ours, theirs, strict=True)) < 1e-3

    top = client.sample(prompt, 1, greedy(max_tokens=2), include_prompt_logprobs=True, topk_prompt_logprobs=3).result()
    rows = top.topk_prompt_logprobs
    seen["prompt_rows"] = [len(rows), None if rows[0] is None else rows[0], len(rows[1])]
    best = max(row[0][1] for row in rows[1:])
    assert math.isfinite(best)
    assert best <= 0.0

    seen["different"] = asyncio.run(asynchronous(client, prompt, 16))
    clone = pickle.loads(pickle.dumps(client))
    seen["clone"] = list(clone.sample(prompt, 1, greedy()).result().sequences[0].tokens) == list(first.tokens)
    seen["too_long"] = failure(client, types.ModelInput.from_ints(prompt.to_ints() * 200), greedy())
    return seen


def main() -> None:
    """Everything once."""
    url, folder = sys.argv[1:3]
    service = tinker.ServiceClient(base_url=url, user_metadata={"run": "e2e"})
    rest = tinker.RestClient(base_url=url)
    seen: dict[str, Any] = {
        "models": [model.model_name for model in rest.get_server_capabilities().result().supported_models]
    }
    seen.update(sampling(service, folder))
    try:
        service.create_sampling_client(base_model="none").result()
    except tinker.NotFoundError as error:
        seen["not_found"] = error.status_code
    sessions = rest.list_sessions().result().sessions
    seen["sessions"] = len(sessions)
    service.close("success")
    try:
        tinker.RestClient(base_url=url, api_key="tml-wrong").get_server_capabilities().result()
    except tinker.AuthenticationError as error:
        seen["wrong_key"] = error.status_code
    print(json.dumps(seen))


if __name__ == "__main__":
    main()
