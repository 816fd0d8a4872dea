"""The Tinker SDK trains all parameters of a model: ``python tinker_full.py BASE_URL MODEL_FOLDER DOWNLOADS``.

Prints one JSON object of what it saw; the test compares. Reads a line from stdin while the run is there to be looked at.
"""

from __future__ import annotations

import json
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tinker
import torch
from tinker import types
from tinker_errors import error_of
from transformers import AutoModelForCausalLM, AutoTokenizer

ADAM = types.AdamParams(learning_rate=1e-3)
KEY = "tml-of-its-own"
"""Other tests count the runs of theirs."""


def datum(tokens: list[int]) -> types.Datum:
    """A sequence of which every token counts."""
    return types.Datum(
        model_input=types.ModelInput.from_ints(tokens[:-1]),
        loss_fn_inputs={"target_tokens": tokens[1:], "weights": [1.0] * (len(tokens) - 1)},
    )


def steps(client: Any, data: list[types.Datum], count: int) -> list[float]:
    """Train; the losses. Each step is of two passes."""
    losses = []
    for _ in range(count):
        asked = [client.forward_backward([one], "cross_entropy") for one in data]
        client.optim_step(ADAM)
        losses.append(sum(one.result().metrics["loss:sum"] for one in asked))
    return losses


def logprobs(folder: Path, tokens: list[int], **options: Any) -> torch.Tensor:
    """What transformers makes of a folder, in the dtype that it says unless ``options`` do."""
    model = AutoModelForCausalLM.from_pretrained(folder, **options)
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([tokens[:-1]])).logits[0].float()
    return logits.log_softmax(-1).gather(1, torch.tensor(tokens[1:]).unsqueeze(1))[:, 0]


def when_it_has_ended(create: Callable[[], Any]) -> Any:
    """What ``create`` gives once the run that is alone on the model has ended: the SDK says that its session is over, and does not wait."""
    until = time.monotonic() + 30
    while True:
        try:
            return create()
        except tinker.BadRequestError as error:
            if "trained as a whole" not in str(error) or time.monotonic() > until:
                raise
        time.sleep(0.05)


def main() -> None:
    """Train, save, go on, resume, take away."""
    url, folder, downloads = sys.argv[1], sys.argv[2], Path(sys.argv[3])
    service, rest = (kind(base_url=url, api_key=KEY) for kind in (tinker.ServiceClient, tinker.RestClient))
    client = service.create_lora_training_client(base_model=folder, rank=0).result()
    info = client.get_info()
    seen: dict[str, Any] = {"info": [info.is_lora, info.lora_rank]}
    other = tinker.ServiceClient(base_url=url, api_key="tml-somebody-else")
    seen["alone"] = error_of(lambda: other.create_lora_training_client(base_model=folder, rank=8).result())
    tokenizer = client.get_tokenizer()
    texts = ["The secret word is zebra.", "Goodbye my friend, until tomorrow."]
    tokens = [tokenizer.encode(text, add_special_tokens=False) for text in texts]
    data = [datum(one) for one in tokens]
    losses = steps(client, data, 8)
    seen["learned"] = losses[-1] < losses[0] / 4 or losses
    path = client.save_state("half-way").result().path
    weights = rest.get_weights_info_by_tinker_path(path).result()
    seen["weights"] = [weights.is_lora, weights.lora_rank]
    further = steps(client, data, 3)
    client.load_state_with_optimizer(path).result()
    seen["resumed"] = steps(client, data, 3) == further or further
    print("look", flush=True)
    sys.stdin.readline()
    sampled = client.save_weights_for_sampler("named").result().path
    seen["sampled"] = [
        error_of(lambda: client.save_weights_and_get_sampling_client().result()),
        error_of(lambda: service.create_sampling_client(model_path=sampled).result()),
    ]
    forward = client.forward(data[:1], "cross_entropy").result()
    trained = torch.tensor(forward.loss_fn_outputs[0]["logprobs"].data)
    external = client.save_weights_external("take-away").result().path
    answer = rest.get_external_weights_urls(external).result()
    for name, link in answer.urls.items():
        with urllib.request.urlopen(link, timeout=30) as file:
            (downloads / name).write_bytes(file.read())
    seen["files"] = sorted(answer.urls)
    seen["transformers"] = float((logprobs(downloads, tokens[0]) - trained).abs().max())
    seen["tokenizer"] = AutoTokenizer.from_pretrained(downloads).encode(texts[0], add_special_tokens=False) == tokens[0]
    service.close("success")
    after = when_it_has_ended(lambda: other.create_lora_training_client(base_model=folder, rank=4, seed=1).result())
    plain = torch.tensor(after.forward(data[:1], "cross_entropy").result().loss_fn_outputs[0]["logprobs"].data)
    seen["base again"] = float((logprobs(Path(folder), tokens[0], dtype=torch.float32) - plain).abs().max())
    other.close("success")
    print(json.dumps(seen))


if __name__ == "__main__":
    main()
