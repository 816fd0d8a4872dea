"""Tokens per second of `vllm.LLM` with no server around it: argv is model, sequences, tokens each and rounds; prints one JSON line."""

import json
import sys
import time

from vllm import LLM, SamplingParams

model, sequences, tokens, rounds = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
llm = LLM(
    model,
    dtype="float32",
    max_model_len=512,
    max_num_seqs=64,
    enforce_eager=True,
    kv_cache_memory_bytes=1 << 26,
    disable_log_stats=False,
)


def rate(count: int, length: int) -> float:
    """Finished units per second: tokens, or requests of one token."""
    wanted = SamplingParams(temperature=0.0, max_tokens=length, ignore_eos=True)
    prompts = [f"tell me {number}" for number in range(count)]
    best = []
    for _ in range(rounds):
        begun = time.perf_counter()
        llm.generate(prompts, wanted, use_tqdm=False)
        best.append(count * length / (time.perf_counter() - begun))
    return sorted(best)[len(best) // 2]


rate(sequences, 8)
print("figures:" + json.dumps({"tokens": rate(sequences, tokens), "requests": rate(sequences, 1)}))
