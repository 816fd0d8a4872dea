"""A bare torch + PEFT loop: forward, backward and AdamW of 8 x 128 tokens, as fast as it goes on one thread.

Usage: ``peft_loop.py MODEL_FOLDER SECONDS``. Prints steps per second, after as long a warm-up as makes ten steps.
"""

from __future__ import annotations

import sys
import time

import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

DATUMS, TOKENS = 8, 128
TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj", "lm_head"]


def main(folder: str, seconds: float) -> None:
    """Train for that long."""
    torch.set_num_threads(1)
    base = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    model = get_peft_model(base, LoraConfig(r=8, lora_alpha=32, target_modules=TARGETS, task_type="CAUSAL_LM"))
    parameters = [one for one in model.parameters() if one.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=1e-4, betas=(0.9, 0.95), eps=1e-12, weight_decay=0.0)
    ids = torch.arange(DATUMS * TOKENS).view(DATUMS, TOKENS) % 3000
    targets = ids.roll(-1, 1)

    def step() -> None:
        logits = model(input_ids=ids, use_cache=False).logits.float()
        torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="sum").backward()
        optimizer.step()
        optimizer.zero_grad()

    for _ in range(10):
        step()
    begun, steps = time.perf_counter(), 0
    while time.perf_counter() - begun < seconds:
        step()
        steps += 1
    print(f"figures:{steps / (time.perf_counter() - begun)}")


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
