"""Calls of the Twinkle client's own forward_backward, one at a time: prints their milliseconds as JSON.

client.py URL CALLS
"""

from __future__ import annotations

import json
import sys
import time

from peft import LoraConfig
from twinkle_client import init_twinkle_client
from twinkle_client.model import MultiLoraTransformersModel

WARM = 5
TOKENS = 16


def main() -> None:
    url, calls = sys.argv[1], int(sys.argv[2])
    init_twinkle_client(base_url=url, api_key="tml-bench")
    model = MultiLoraTransformersModel(model_id="ms://mock-model")
    model.add_adapter_to_model("default", LoraConfig(target_modules="all-linear", r=8), gradient_accumulation_steps=1)
    model.set_processor("InputProcessor", padding_side="right")
    model.set_loss("CrossEntropyLoss")
    model.set_optimizer("Adam", lr=1e-4)
    ids = [1 + at * 7 % 500 for at in range(TOKENS + 1)]
    batch = [{"input_ids": ids[:-1], "labels": ids[1:]}]
    times: list[float] = []
    for _ in range(WARM + calls):
        begun = time.perf_counter()
        model.forward_backward(inputs=batch)
        times.append((time.perf_counter() - begun) * 1000)
    print(json.dumps({"ms": times[WARM:]}))


main()
