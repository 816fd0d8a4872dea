"""A bare torch + PEFT loop: forward, backward and AdamW, as fast as it goes in one process.

Usage: ``peft_loop.py MODEL_FOLDER SECONDS [--datums 8] [--tokens 128] [--rank 8] [--cuda float32|bfloat16]``. On the CPU it has one thread and
float32; on CUDA the base is bfloat16 and adapters are what is named: float32 under autocast, as PEFT makes them, or bfloat16.
Prints steps per second, after as long a warm-up as makes ten steps.
"""

from __future__ import annotations

import argparse
import time
from contextlib import nullcontext

import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj", "lm_head"]


def main() -> None:
    """Train for that long."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    parser.add_argument("seconds", type=float)
    parser.add_argument("--datums", type=int, default=8)
    parser.add_argument("--tokens", type=int, default=128)
    parser.add_argument("--rank", type=int, default=8)
    parser.add_argument("--cuda", choices=("float32", "bfloat16"))
    asked = parser.parse_args()
    cuda = asked.cuda is not None
    torch.set_num_threads(1)
    device = "cuda" if cuda else "cpu"
    dtype = torch.bfloat16 if cuda else torch.float32
    base = AutoModelForCausalLM.from_pretrained(asked.folder, dtype=dtype).to(device)
    lora = LoraConfig(r=asked.rank, lora_alpha=32, target_modules=TARGETS, task_type="CAUSAL_LM")
    model = get_peft_model(base, lora, autocast_adapter_dtype=asked.cuda != "bfloat16")
    parameters = [one for one in model.parameters() if one.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=1e-4, betas=(0.9, 0.95), eps=1e-12, weight_decay=0.0)
    # Not token 0: the padding has an embedding of zeros, whose gradient overflows in a deep random model.
    ids = torch.arange(asked.datums * asked.tokens, device=device).view(asked.datums, asked.tokens) % 2999 + 1
    targets = ids.roll(-1, 1)
    mixed = asked.cuda == "float32"

    def step() -> float:
        with torch.autocast("cuda", torch.bfloat16) if mixed else nullcontext():
            logits = model(input_ids=ids, use_cache=False).logits.float()
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="sum")
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss.item()  # as who trains wants to see it

    for _ in range(10):
        step()
    begun, steps = time.perf_counter(), 0
    while time.perf_counter() - begun < asked.seconds:
        step()
        steps += 1
    print(f"figures:{steps / (time.perf_counter() - begun)}")


if __name__ == "__main__":
    main()
