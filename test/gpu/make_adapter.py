"""Writes LoRA adapters of random weights, and what plain vLLM answers with each: argv is model, folder, questions as JSON.

Prints, of base and adapters, the greedy answers and the log-probability of the first token of each, in the order of the questions.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
os.environ.setdefault("VLLM_USE_FLASHINFER_SAMPLER", "0")

sys.path.insert(0, str(Path(__file__).parents[2] / "python-workers" / "tests" / "vllm"))

from lora_support import write_adapter
from vllm import LLM, SamplingParams
from vllm.lora.request import LoRARequest

NAMES = ("first", "second")
RANK = 8


def main() -> None:
    """The adapters, then the answers."""
    model, folder, questions = (
        Path(sys.argv[1]),
        Path(sys.argv[2]),
        json.loads(sys.argv[3]),
    )
    for seed, name in enumerate(NAMES, 1):
        write_adapter(str(model), folder / name, seed, RANK)
    llm = LLM(
        str(model),
        dtype="bfloat16",
        max_model_len=1024,
        gpu_memory_utilization=0.2,
        enforce_eager=True,
        enable_lora=True,
        max_loras=2,
    )
    wanted = SamplingParams(temperature=0.0, max_tokens=48, logprobs=0)
    chats = [[{"role": "user", "content": question}] for question in questions]

    def answers(lora: LoRARequest | None) -> list[tuple[str, float]]:
        outputs = [answer.outputs[0] for answer in llm.chat(chats, wanted, lora_request=lora, use_tqdm=False)]
        return [(output.text, output.logprobs[0][output.token_ids[0]].logprob) for output in outputs]

    said = {"demo": answers(None)}
    for at, name in enumerate(NAMES, 1):
        said[name] = answers(LoRARequest(name, at, str(folder / name)))
    print("figures:" + json.dumps(said), flush=True)


if __name__ == "__main__":
    main()
