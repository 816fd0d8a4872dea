"""Plain `vllm.LLM` in a process of its own: reads JSON from standard input, prints the token ids of each answer.

{"model", "sampling" (one for each), and "prompts" or "chats" (lists of messages), "max_model_len" (default 512)}
"""

from __future__ import annotations

import json
import sys

from twinkle_worker.engines.vllm.environment import prepare_environment

prepare_environment()

from vllm import LLM, SamplingParams  # noqa: E402 -- after its environment

wanted = json.load(sys.stdin)
llm = LLM(
    wanted["model"],
    dtype="float32",
    max_model_len=wanted.get("max_model_len", 512),
    max_num_seqs=32,
    enforce_eager=True,
    kv_cache_memory_bytes=1 << 26,
)
sampling = [SamplingParams(**one) for one in wanted["sampling"]]
if "chats" in wanted:
    outputs = llm.chat(wanted["chats"], sampling, use_tqdm=False)
else:
    outputs = llm.generate(wanted["prompts"], sampling, use_tqdm=False)
print("tokens:" + json.dumps([list(output.outputs[0].token_ids) for output in outputs]))
