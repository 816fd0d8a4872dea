"""The Tinker SDK samples from what it trained, and takes it away: ``python tinker_weights.py BASE_URL MODEL_FOLDER DOWNLOADS``.

TINKER_API_KEY is the key.

Prints one JSON object of what it saw; the test compares.
"""

from __future__ import annotations

import json
import sys
import urllib.request
from pathlib import Path
from typing import Any

import tinker
from safetensors.torch import load_file
from tinker import types
from tinker_errors import error_of
from tinker_training import PAIRS, datum, steps

GREEDY = types.SamplingParams(max_tokens=12, temperature=0.0)
QUESTION, ANSWER = PAIRS[0]


def says(sampler: tinker.SamplingClient, tokenizer: Any) -> str:
    """What comes after the question."""
    prompt = types.ModelInput.from_ints(tokenizer.encode(QUESTION, add_special_tokens=False))
    answer = sampler.sample(prompt, num_samples=1, sampling_params=GREEDY).result()
    return tokenizer.decode(answer.sequences[0].tokens)


def likelihoods(sampler: tinker.SamplingClient, tokens: list[int]) -> list[float]:
    """Of each token but the first, as the sampler sees them."""
    return [one for one in sampler.compute_logprobs(types.ModelInput.from_ints(tokens)).result()[1:] if one is not None]


def trained(client: tinker.TrainingClient, tokens: list[int]) -> list[float]:
    """The same, as the trainer sees them."""
    example = types.Datum(
        model_input=types.ModelInput.from_ints(tokens[:-1]), loss_fn_inputs={"target_tokens": tokens[1:]}
    )
    return client.forward([example], "cross_entropy").result().loss_fn_outputs[0]["logprobs"].tolist()


def gap(one: list[float], other: list[float]) -> float:
    """The greatest difference."""
    return max(abs(a - b) for a, b in zip(one, other, strict=True))


def fetched(rest: Any, path: str, folder: Path) -> list[str]:
    """Download a checkpoint, as the SDK's command does: without a key."""
    answer = rest.get_external_weights_urls(path).result()
    for name, url in answer.urls.items():
        with urllib.request.urlopen(url, timeout=30) as file:
            (folder / name).write_bytes(file.read())
    return sorted(answer.urls)


def main() -> None:
    """All of it, in one session."""
    url, folder, downloads = sys.argv[1], sys.argv[2], Path(sys.argv[3])
    service = tinker.ServiceClient(base_url=url)
    client = service.create_lora_training_client(base_model=folder, rank=8, seed=1).result()
    tokenizer = client.get_tokenizer()
    tokens = tokenizer.encode(QUESTION + ANSWER, add_special_tokens=False)
    data = [datum(tokenizer, *pair) for pair in PAIRS]
    seen: dict[str, Any] = {}

    base = service.create_sampling_client(base_model=folder).result()
    seen["base"] = says(base, tokenizer)
    seen["losses"] = steps(client, data, 12)
    snapshot = client.save_weights_and_get_sampling_client().result()
    seen["snapshot"] = says(snapshot, tokenizer)
    of_snapshot = likelihoods(snapshot, tokens)
    seen["gap"] = gap(of_snapshot, trained(client, tokens))
    seen["base again"] = says(base, tokenizer) == seen["base"]

    followed = client.save_weights_and_get_sampling_client(kind="inflight").result()
    seen["followed"] = gap(likelihoods(followed, tokens), of_snapshot)
    path = client.save_weights_for_sampler("named").result().path
    steps(client, [datum(tokenizer, QUESTION, " It is a green horse.")], 12)
    client.save_weights_and_get_sampling_client(kind="inflight").result()
    now = trained(client, tokens)
    seen["moved on"] = gap(likelihoods(followed, tokens), of_snapshot) > 0.1
    seen["followed now"] = gap(likelihoods(followed, tokens), now)
    seen["snapshot stays"] = gap(likelihoods(snapshot, tokens), of_snapshot)
    seen["says now"] = says(followed, tokenizer)

    named = service.create_sampling_client(model_path=path).result()
    seen["named"] = gap(likelihoods(named, tokens), of_snapshot)
    seen["base of named"] = named.get_base_model() == folder
    at_once = [sampler.sample(types.ModelInput.from_ints(tokens[:6]), 1, GREEDY) for sampler in (base, named, followed)]
    seen["at once"] = len({tuple(one.result().sequences[0].tokens) for one in at_once})

    rest = tinker.RestClient(base_url=url)
    external = client.save_weights_external("mine").result().path
    seen["files"] = fetched(rest, external, downloads)
    seen["tensors"] = sorted({name.rsplit(".", 2)[1] for name in load_file(downloads / "adapter_model.safetensors")})
    copy = rest.copy_weights(path, "archive").result()
    seen["copy"] = gap(likelihoods(service.create_sampling_client(model_path=copy).result(), tokens), of_snapshot)
    run = rest.get_training_run_by_tinker_path(path).result()
    seen["last"] = [run.last_sampler_checkpoint is not None, run.last_checkpoint is None]
    rest.delete_checkpoint_from_tinker_path(path).result()
    seen["deleted"] = error_of(lambda: likelihoods(named, tokens))
    other = tinker.ServiceClient(base_url=url, api_key="tml-somebody-else")
    seen["stranger"] = error_of(
        lambda: other.create_sampling_client(model_path=copy).result(),
    )
    seen["path"] = path
    print(json.dumps(seen))


if __name__ == "__main__":
    main()
