"""Tokens per second of vLLM's own executors, the engine in its own process: argv is model, tp, pp, tokens, repetitions and levels of

sequences. Of the repetitions of a level the median counts.
"""

from __future__ import annotations

import json
import os
import sys
import time
from statistics import median

os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "1")
os.environ.setdefault("VLLM_USE_FLASHINFER_SAMPLER", "0")

from vllm import LLM, SamplingParams


def main() -> None:
    """One warm-up, then the rate at each level."""
    model, tensor, pipeline, tokens = (
        sys.argv[1],
        int(sys.argv[2]),
        int(sys.argv[3]),
        int(sys.argv[4]),
    )
    repetitions = int(sys.argv[5])
    levels = [int(level) for level in sys.argv[6:]]
    llm = LLM(
        model,
        dtype="bfloat16",
        max_model_len=1024,
        max_num_seqs=max(levels),
        tensor_parallel_size=tensor,
        pipeline_parallel_size=pipeline,
        distributed_executor_backend="mp" if tensor * pipeline > 1 else None,
        gpu_memory_utilization=0.4,
        enable_prefix_caching=False,
        disable_log_stats=False,
    )

    def rate(sequences: int) -> float:
        wanted = SamplingParams(temperature=0.0, max_tokens=tokens, ignore_eos=True)
        prompts = [{"prompt_token_ids": [100 + at, 7, 8, 9, 10, 11, 12, 13]} for at in range(sequences)]
        begun = time.perf_counter()
        llm.generate(prompts, wanted, use_tqdm=False)
        return sequences * tokens / (time.perf_counter() - begun)

    rate(max(levels))
    medians = {str(level): median(rate(level) for _ in range(repetitions)) for level in levels}
    print("figures:" + json.dumps(medians), flush=True)


if __name__ == "__main__":
    main()
