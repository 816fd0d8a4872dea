"""Plain `vllm.LLM` in a process of its own: reads {"model", "prompts", "sampling"} as JSON from standard input, prints the token ids."""

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
    max_model_len=512,
    max_num_seqs=32,
    enforce_eager=True,
    kv_cache_memory_bytes=1 << 26,
)
outputs = llm.generate(wanted["prompts"], [SamplingParams(**one) for one in wanted["sampling"]], use_tqdm=False)
print("tokens:" + json.dumps([list(output.outputs[0].token_ids) for output in outputs]))
