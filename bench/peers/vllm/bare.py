"""Tokens and requests per second of `vllm.LLM` with no server around it: argv is model, sequences and tokens of each.

Says `ready`, then measures once for each line on standard input and prints the figures as a line of JSON; ends with its input.
"""

import json
import sys
import time

from vllm import LLM, SamplingParams

model, sequences, tokens = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
llm = LLM(
    model,
    dtype="float32",
    max_model_len=512,
    max_num_seqs=64,
    enforce_eager=True,
    kv_cache_memory_bytes=1 << 26,
    disable_log_stats=False,
)


def rate(length: int, seconds: float) -> float:
    """Finished units per second: tokens, or requests of one token; batches one after the other for so long."""
    wanted = SamplingParams(temperature=0.0, max_tokens=length, ignore_eos=True)
    prompts = [f"tell me {number}" for number in range(sequences)]
    begun = time.perf_counter()
    made = 0
    while time.perf_counter() - begun < seconds:
        llm.generate(prompts, wanted, use_tqdm=False)
        made += sequences * length
    return made / (time.perf_counter() - begun)


rate(8, 1.0)
print("ready", flush=True)
for _ in sys.stdin:
    print("figures:" + json.dumps({"tokens": rate(tokens, 3.0), "requests": rate(1, 2.0)}), flush=True)
