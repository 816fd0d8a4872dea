"""The floor of throughput: transformers' own ``generate`` over a static batch, with no server, no queue and no streaming.

Usage: ``bare_generate.py MODEL DTYPE TOKENS BATCH…``; prints one JSON object, batch → tokens per second (median of three).
"""

from __future__ import annotations

import json
import statistics
import sys
import time

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

PROMPT = "Once upon a time"


def main(folder: str, dtype: str, tokens: int, batches: list[int]) -> None:
    """Greedy, exactly ``tokens`` new tokens a row."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=getattr(torch, dtype)).eval().to(device)
    rates: dict[str, float] = {}
    for batch in batches:
        inputs = tokenizer([PROMPT] * batch, return_tensors="pt").to(device)
        seconds = []
        for _ in range(4):
            started = time.perf_counter()
            with torch.inference_mode():
                out = model.generate(
                    input_ids=inputs["input_ids"],
                    attention_mask=inputs["attention_mask"],
                    do_sample=False,
                    min_new_tokens=tokens,
                    max_new_tokens=tokens,
                )
            out.cpu()
            seconds.append(time.perf_counter() - started)
        made = (out.shape[1] - inputs["input_ids"].shape[1]) * batch
        # The first one warms kernels up.
        rates[str(batch)] = made / statistics.median(seconds[1:])
    print(json.dumps(rates))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), [int(batch) for batch in sys.argv[4:]])
