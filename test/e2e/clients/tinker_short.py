"""Any Tinker SDK from 0.16 on trains, saves and samples a little: ``python tinker_short.py BASE_URL MODEL_FOLDER``.

TINKER_API_KEY is the key. Prints one JSON object of what it saw; the test compares.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import tinker
from tinker import types


def done(given: Any) -> Any:
    """What newer SDKs give as a future, older ones give at once."""
    return given.result() if hasattr(given, "result") else given


def trained(client: Any, data: list[types.Datum], count: int) -> list[float]:
    """Train; the losses. Everything is sent before anything is waited for."""
    adam = types.AdamParams(learning_rate=5e-3)
    asked = [(client.forward_backward(data, "cross_entropy"), client.optim_step(adam)) for _ in range(count)]
    return [passed.result().metrics["loss:sum"] for passed, _ in asked]


def main() -> None:
    """Everything once."""
    url, folder = sys.argv[1:3]
    service = tinker.ServiceClient(base_url=url)
    client = done(service.create_lora_training_client(base_model=folder, rank=4, seed=3))
    tokens = client.get_tokenizer().encode("The secret word is zebra.", add_special_tokens=False)
    weights = [1.0] * (len(tokens) - 1)
    datum = types.Datum(
        model_input=types.ModelInput.from_ints(tokens[:-1]),
        loss_fn_inputs={"target_tokens": tokens[1:], "weights": weights},
    )
    losses = trained(client, [datum], 8)
    forward = client.forward([datum], "cross_entropy").result()
    logprobs = forward.loss_fn_outputs[0]["logprobs"]
    path = client.save_state("half-way").result().path
    further = trained(client, [datum], 2)
    again = done(service.create_training_client_from_state(path))
    sampler = done(service.create_sampling_client(base_model=folder))
    prompt = types.ModelInput.from_ints(tokens[:3])
    params = types.SamplingParams(max_tokens=4, temperature=0.0, stop=[])
    sample = sampler.sample(
        prompt, num_samples=2, sampling_params=params, include_prompt_logprobs=True, topk_prompt_logprobs=2
    ).result()
    first, second = sample.sequences
    try:
        client.forward_backward([datum], "cross_entropy", {"beta": 1.0}).result()
    except tinker.RequestFailedError as error:
        refused = str(error)
    print(
        json.dumps(
            {
                "version": tinker.__version__,
                "learned": losses[-1] < losses[0] / 2,
                "logprobs": [
                    list(logprobs.shape or []),
                    abs(sum(logprobs.tolist()) + forward.metrics["loss:sum"]) < 1e-3,
                ],
                "resumed": abs(trained(again, [datum], 1)[0] - further[0]) < 1e-3,
                "sampled": [len(first.tokens), len(first.logprobs), first.stop_reason, first.tokens == second.tokens],
                "prompt": [
                    sample.prompt_logprobs[0],
                    sample.prompt_logprobs[1] < 0,
                    sample.topk_prompt_logprobs[0],
                    len(sample.topk_prompt_logprobs[1]),
                ],
                "refused": "beta" in refused,
            }
        )
    )


if __name__ == "__main__":
    main()
