"""The Tinker SDK on a server that was started by the file of a Twinkle Server: ``python tinker_by_file.py BASE_URL FOLDER MODEL SERVED``.

MODEL is the name to train by; SERVED is ``yes`` where it is sampled from, too. TINKER_API_KEY is the key. Reads a line from stdin after
each line of one word, where the test has something to do. Prints one JSON object of what it saw; the test compares.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import tinker
from tinker import types
from tinker_errors import error_of

TOKENS = [5, 6, 7, 8, 9, 10]
DATUM = types.Datum(
    model_input=types.ModelInput.from_ints(TOKENS[:-1]),
    loss_fn_inputs={"target_tokens": TOKENS[1:], "weights": [1.0] * (len(TOKENS) - 1)},
)


def steps(client: Any, count: int) -> list[float]:
    """Train; the losses."""
    adam = types.AdamParams(learning_rate=5e-3)
    asked = [(client.forward_backward([DATUM], "cross_entropy"), client.optim_step(adam)) for _ in range(count)]
    losses = [passed.result().metrics["loss:sum"] for passed, _ in asked]
    asked[-1][1].result()
    return losses


def sample(client: Any) -> int:
    """Tokens of a sample of four at most."""
    params = types.SamplingParams(max_tokens=4)
    answer = client.sample(types.ModelInput.from_ints(TOKENS), num_samples=1, sampling_params=params).result()
    return len(answer.sequences[0].tokens)


def pause(word: str) -> None:
    """The test does something now."""
    print(word, flush=True)
    sys.stdin.readline()


def main() -> None:
    """Everything once."""
    url, _, model, served = sys.argv[1:5]
    service = tinker.ServiceClient(base_url=url)
    supported = [
        one.model_name for one in tinker.RestClient(base_url=url).get_server_capabilities().result().supported_models
    ]
    client = service.create_lora_training_client(base_model=model, rank=8).result()
    losses = steps(client, 6)
    seen: dict[str, Any] = {"supported": supported, "losses": losses}
    if served == "yes":
        seen["trained sample"] = sample(client.save_weights_and_get_sampling_client("x").result())
        seen["sample"] = sample(service.create_sampling_client(base_model=model).result())
        pause("kill")
        seen["lost"] = error_of(lambda: steps(client, 1))
        seen["serves"] = sample(service.create_sampling_client(base_model=model).result())
        again = service.create_lora_training_client(base_model=model, rank=8).result()
        seen["again"] = len(steps(again, 2))
    else:
        seen["base"] = error_of(lambda: sample(service.create_sampling_client(base_model=model).result()))
        seen["weights"] = error_of(lambda: sample(client.save_weights_and_get_sampling_client("x").result()))
        seen["lives on"] = len(steps(client, 1))
    pause("over")
    print(json.dumps(seen))


if __name__ == "__main__":
    main()
