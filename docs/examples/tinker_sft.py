"""LoRA fine-tuning with the plain Tinker SDK: a model learns to say a list of words backwards.

``npx twinkle-node serve`` in one terminal; ``pip install tinker==0.38.0 jinja2`` and ``python tinker_sft.py`` in another.
Every word list that is asked in the evaluation is held out of the training. ``--json`` keeps what the table shows.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tinker
from tinker import types

WORDS = """
apple bear blue chair cloud day door fox green horse house lamp moon owl plum rain red river road sea star stone sun tree
wind wolf
"""
END = "<|im_end|>"  # of a turn, in the chat format of the demo model and of Qwen

Words = tuple[str, ...]


class Task:
    """Questions and answers as tokens."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer

    def prompt(self, words: Words) -> list[int]:
        """The question, up to where the answer begins."""
        turn = [{"role": "user", "content": "Say this backwards: " + " ".join(words)}]
        return self.tokenizer.apply_chat_template(turn, add_generation_prompt=True, return_dict=False)

    def answer(self, words: Words) -> str:
        """What is right."""
        return " ".join(reversed(words))

    def datum(self, words: Words) -> types.Datum:
        """One example; only the tokens of the answer have a weight."""
        prompt = self.prompt(words)
        answer = self.tokenizer.encode(self.answer(words) + END, add_special_tokens=False)
        tokens = prompt + answer
        weights = [0.0] * (len(prompt) - 1) + [1.0] * len(answer)
        return types.Datum(
            model_input=types.ModelInput.from_ints(tokens[:-1]),
            loss_fn_inputs={"target_tokens": tokens[1:], "weights": weights},
        )


def exact_match(task: Task, client: tinker.TrainingClient, lists: Sequence[Words]) -> tuple[float, str]:
    """The share of right answers of the weights as they are now, and the first answer."""
    sampler = client.save_weights_and_get_sampling_client().result()
    greedy = types.SamplingParams(max_tokens=16, temperature=0.0)
    asked = [sampler.sample(types.ModelInput.from_ints(task.prompt(words)), 1, greedy) for words in lists]
    answers = [task.tokenizer.decode(one.result().sequences[0].tokens, skip_special_tokens=True) for one in asked]
    right = [answer == task.answer(words) for answer, words in zip(answers, lists, strict=True)]
    return sum(right) / len(right), answers[0]


def fine_tune(client: tinker.TrainingClient, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Train; a row for every evaluation."""
    task = Task(client.get_tokenizer())
    rng = random.Random(options.seed)
    vocabulary = WORDS.split()
    held_out = [tuple(rng.sample(vocabulary, options.words)) for _ in range(options.held_out)]
    never = set(held_out)
    rows: list[dict[str, Any]] = []
    begun = time.monotonic()

    def report(step: int, loss: float | None) -> None:
        match, said = exact_match(task, client, held_out)
        rows.append({"step": step, "loss": loss, "exact_match": match, "seconds": time.monotonic() - begun})
        shown = "-" if loss is None else f"{loss:.3f}"
        print(f"{step:5d} {shown:>8} {match:8.0%} {rows[-1]['seconds']:7.1f} s  {said}", flush=True)

    print(f"held out: {' '.join(held_out[0])} → {task.answer(held_out[0])}")
    print(f"{'step':>5} {'loss':>8} {'exact':>8} {'time':>9}  first answer")
    report(0, None)
    losses: list[float] = []
    for step in range(1, options.steps + 1):
        drawn = [tuple(rng.sample(vocabulary, options.words)) for _ in range(options.batch)]
        data = [task.datum(words) for words in drawn if words not in never]
        rate = options.learning_rate * min(1.0, 2 * (1 - (step - 1) / options.steps))
        passed = client.forward_backward(data, "cross_entropy")
        client.optim_step(types.AdamParams(learning_rate=rate))  # sent at once: the server keeps the order
        weight = sum(sum(one.loss_fn_inputs["weights"].data) for one in data)
        losses.append(passed.result().metrics["loss:sum"] / weight)
        if step % options.eval_every == 0 or step == options.steps:
            report(step, sum(losses) / len(losses))
            losses.clear()
    return rows


def main() -> None:
    """From the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base-url", default=os.environ.get("TINKER_BASE_URL", "http://127.0.0.1:8000"))
    parser.add_argument("--model", default="demo", help="a name that the server serves")
    parser.add_argument("--words", type=int, default=4, help="in a list")
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--batch", type=int, default=32, help="examples of a step")
    parser.add_argument("--held-out", type=int, default=50, help="word lists of an evaluation")
    parser.add_argument("--eval-every", type=int, default=10, help="steps")
    parser.add_argument(
        "--learning-rate", type=float, default=2e-3, help="falls to 0 over the second half of the steps"
    )
    parser.add_argument("--rank", type=int, default=32, help="of the LoRA adapter")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, help="a file for the table")
    options = parser.parse_args()
    # The SDK wants a key that begins with tml-; a server on the loopback takes any.
    key = os.environ.get("TINKER_API_KEY", "tml-local")
    with tinker.ServiceClient(base_url=options.base_url, api_key=key) as service:
        client = service.create_lora_training_client(options.model, rank=options.rank, seed=options.seed).result()
        rows = fine_tune(client, options)
        print("saved:", client.save_state("backwards").result().path)
    if options.json is not None:
        options.json.write_text(
            json.dumps({"model": options.model, "steps": options.steps, "rows": rows}, indent=1) + "\n"
        )


if __name__ == "__main__":
    main()
