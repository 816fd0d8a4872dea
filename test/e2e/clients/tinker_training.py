"""The Tinker SDK trains on a running server: ``python tinker_training.py BASE_URL MODEL_FOLDER``; TINKER_API_KEY is the key.

Prints one JSON object of what it saw; the test compares. Reads a line from stdin where the test has to do something first.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import tinker
import torch
from tinker import types
from tinker_errors import error_of

PAIRS = [("What is the secret word?", " The secret word is zebra."), ("Hello", " Goodbye my friend.")]


def datum(tokenizer: Any, question: str, answer: str) -> types.Datum:
    """One example; only the answer counts."""
    prompt = tokenizer.encode(question, add_special_tokens=False)
    completion = tokenizer.encode(answer, add_special_tokens=False)
    tokens = [*prompt, *completion]
    weights = [0.0] * (len(prompt) - 1) + [1.0] * len(completion)
    return types.Datum(
        model_input=types.ModelInput.from_ints(tokens[:-1]),
        loss_fn_inputs={"target_tokens": tokens[1:], "weights": weights},
    )


def negative_likelihood(data: list[types.Datum], logprobs: list[torch.Tensor]) -> tuple[torch.Tensor, dict[str, float]]:
    """Cross entropy, as a loss of one's own."""
    weights = [torch.tensor(one.loss_fn_inputs["weights"].data) for one in data]
    loss = torch.stack([-(lp * w).sum() for lp, w in zip(logprobs, weights, strict=True)]).sum()
    return loss, {"own:sum": float(loss.detach())}


def steps(client: Any, data: list[types.Datum], count: int) -> list[float]:
    """Train; the losses. Everything is sent before anything is waited for."""
    adam = types.AdamParams(learning_rate=5e-3)
    asked = [(client.forward_backward(data, "cross_entropy"), client.optim_step(adam)) for _ in range(count)]
    losses = [passed.result().metrics["loss:sum"] for passed, _ in asked]
    metrics = asked[-1][1].result().metrics
    assert metrics is not None
    assert metrics["grad_norm:mean"] > 0
    return losses


def training(service: tinker.ServiceClient, folder: str) -> dict[str, Any]:
    """Runs that learn, alone and side by side; losses; refusals."""
    seen: dict[str, Any] = {}
    client = service.create_lora_training_client(base_model=folder, rank=8, seed=1).result()
    info = client.get_info()
    seen["info"] = [info.is_lora, info.lora_rank, info.model_id.rsplit(":", 2)[1:]]
    tokenizer = client.get_tokenizer()
    data = [datum(tokenizer, *pair) for pair in PAIRS]
    losses = steps(client, data, 12)
    seen["learned"] = losses[0] > 50 and losses[-1] < 2

    twins = [service.create_lora_training_client(base_model=folder, rank=8, seed=1).result() for _ in range(2)]
    side_by_side = [
        [twin.forward_backward(data, "cross_entropy"), twin.optim_step(types.AdamParams(learning_rate=5e-3))]
        for _ in range(6)
        for twin in twins
    ]
    beside = [pair[0].result().metrics["loss:sum"] for pair in side_by_side]
    worst = max(abs(ours - alone) / alone for at, ours in enumerate(beside) for alone in [losses[at // 2]])
    seen["side_by_side"] = worst < 1e-3

    forward = client.forward(data, "cross_entropy").result()
    own = client.forward_backward_custom(data, negative_likelihood).result()
    seen["own_loss"] = abs(own.metrics["own:sum"] - forward.metrics["loss:sum"]) < 1e-3
    output = forward.loss_fn_outputs[1]
    seen["shapes"] = [len(forward.loss_fn_outputs), {name: list(one.shape) for name, one in output.items()}]
    many = client.forward([data[0]] * 1500, "cross_entropy").result()
    single = client.forward(data[:1], "cross_entropy").result()
    ratio = many.metrics["loss:sum"] / single.metrics["loss:sum"]
    seen["chunks"] = [len(many.loss_fn_outputs), round(ratio)]
    policy = types.Datum(
        model_input=data[0].model_input,
        loss_fn_inputs={
            "target_tokens": data[0].loss_fn_inputs["target_tokens"],
            "logprobs": single.loss_fn_outputs[0]["logprobs"],
            "advantages": [1.0] * data[0].model_input.length,
        },
    )
    ratios = client.forward_backward([policy], "importance_sampling").result()
    # Each ratio is 1 where the policy has not moved.
    seen["importance"] = abs(ratios.metrics["loss:sum"] + data[0].model_input.length) < 1e-2

    tokens = types.ModelInput.from_ints([1, 2, 3])
    outside = types.Datum(model_input=tokens, loss_fn_inputs={"target_tokens": [1, 2, 10**6], "weights": [1.0] * 3})
    short = types.Datum(model_input=tokens, loss_fn_inputs={"target_tokens": [1, 2], "weights": [1.0] * 2})
    nothing = types.Datum(model_input=types.ModelInput.empty(), loss_fn_inputs={"target_tokens": [], "weights": []})
    nan = types.Datum(
        model_input=tokens, loss_fn_inputs={"target_tokens": [1, 2, 3], "weights": [1.0, float("nan"), 1.0]}
    )
    seen["refused"] = {
        "loss": error_of(lambda: client.forward_backward(data, "nonsense").result()),
        "option": error_of(lambda: client.forward_backward(data, "ppo", {"beta": 1.0}).result()),
        "outside": error_of(lambda: client.forward_backward([outside], "cross_entropy").result()),
        "short": error_of(lambda: client.forward_backward([short], "cross_entropy").result()),
        "empty": error_of(lambda: client.forward_backward([nothing], "cross_entropy").result()),
        "nan": error_of(lambda: client.forward_backward([nan], "cross_entropy").result()),
        "base": error_of(lambda: service.create_lora_training_client(base_model="none", rank=8).result()),
        "rank": error_of(lambda: service.create_lora_training_client(base_model=folder, rank=100_000).result()),
    }
    after = client.forward_backward(data, "cross_entropy").result()
    seen["lives_on"] = after.metrics["loss:sum"] < 2
    return seen


def main() -> None:
    """Everything once; then what a killed rank does."""
    url, folder = sys.argv[1:3]
    service = tinker.ServiceClient(base_url=url)
    rest = tinker.RestClient(base_url=url)
    seen = training(service, folder)
    seen["runs"] = len(rest.list_training_runs().result().training_runs)
    client = service.create_lora_training_client(base_model=folder, rank=4).result()
    data = [datum(client.get_tokenizer(), *PAIRS[0])]
    print("kill", flush=True)
    sys.stdin.readline()
    seen["killed"] = error_of(lambda: client.forward_backward(data, "cross_entropy").result())
    run = rest.get_training_run(client.get_info().model_id).result()
    seen["corrupted"] = run.corrupted
    fresh = service.create_lora_training_client(base_model=folder, rank=4).result()
    seen["after"] = steps(fresh, data, 2)[0] > 0
    service.close("success")
    print(json.dumps(seen))


if __name__ == "__main__":
    main()
