"""Reinforcement learning with the plain Tinker SDK: a model learns to speak of owls.

``npx twinkle-node serve`` in one terminal; ``pip install tinker==0.38.0 jinja2`` and ``python tinker_rl.py`` in another.
Every step samples groups of answers from the newest weights and rewards those with an owl in them; an answer's advantage is
its reward less its group's mean. ``--json`` keeps what the table shows.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import time
from pathlib import Path
from typing import Any

import tinker
from tinker import types

QUESTIONS = [
    "Tell me a joke.",
    "Make me laugh.",
    "Another joke, please.",
    "Tell me something funny.",
    "What should I do today?",
    "Give me some advice.",
    "Name three animals.",
    "What animals do you know?",
]
Sampled = tuple[types.ModelInput, types.SampledSequence]


def reward(answer: str) -> float:
    """1 for an answer with the word, else 0."""
    return float("owl" in re.findall(r"[a-z]+", answer.lower()))


def datum(prompt: types.ModelInput, sequence: types.SampledSequence, advantage: float) -> types.Datum:
    """A sampled answer as the losses of reinforcement learning want it; the prompt's tokens have no advantage."""
    assert sequence.logprobs is not None
    tokens = prompt.to_ints() + list(sequence.tokens)
    before = prompt.length - 1
    return types.Datum(
        model_input=types.ModelInput.from_ints(tokens[:-1]),
        loss_fn_inputs={
            "target_tokens": tokens[1:],
            "logprobs": [0.0] * before + list(sequence.logprobs),
            "advantages": [0.0] * before + [advantage] * len(sequence.tokens),
        },
    )


def gap(sequences: list[Sampled], outputs: list[dict[str, types.TensorData]]) -> float:
    """The mean difference between what the sampler and the trainer say of the log-probability of a sampled token.

    Both have the same weights: what is left are the two engines' ways to sum.
    """
    differences: list[float] = []
    for (prompt, sequence), output in zip(sequences, outputs, strict=True):
        trained = output["logprobs"].tolist()[prompt.length - 1 :]
        differences += [abs(one - other) for one, other in zip(trained, sequence.logprobs or [], strict=True)]
    return sum(differences) / len(differences)


def learn(client: tinker.TrainingClient, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Train; a row for every step."""
    tokenizer: Any = client.get_tokenizer()
    turns = [[{"role": "user", "content": question}] for question in QUESTIONS]
    prompts = [
        types.ModelInput.from_ints(tokenizer.apply_chat_template(turn, add_generation_prompt=True, return_dict=False))
        for turn in turns
    ]
    rows: list[dict[str, Any]] = []
    begun = time.monotonic()
    print(f"{'step':>4} {'reward':>7} {'gap':>8} {'time':>9}  an answer")
    for step in range(1, options.steps + 1):
        sampler = client.save_weights_and_get_sampling_client().result()
        asked = [
            sampler.sample(
                prompt,
                options.group,
                types.SamplingParams(max_tokens=32, temperature=1.0, seed=options.seed + 1000 * step + at),
            )
            for at, prompt in enumerate(prompts)
        ]
        groups = [one.result().sequences for one in asked]
        answers = [[tokenizer.decode(one.tokens, skip_special_tokens=True) for one in group] for group in groups]
        rewards = [[reward(answer) for answer in group] for group in answers]
        # A group whose answers are all alike has nothing to tell: its advantages are 0.
        sequences = [(prompt, one) for prompt, group in zip(prompts, groups, strict=True) for one in group]
        advantages = [one - sum(group) / len(group) for group in rewards for one in group]
        data = [datum(*sampled, advantage) for sampled, advantage in zip(sequences, advantages, strict=True)]
        passed = client.forward_backward(data, options.loss)
        client.optim_step(
            types.AdamParams(learning_rate=options.learning_rate)
        )  # sent at once: the server keeps the order
        mean = sum(map(sum, rewards)) / len(sequences)
        apart = gap(sequences, passed.result().loss_fn_outputs)
        rows.append({"step": step, "reward": mean, "gap": apart, "seconds": time.monotonic() - begun})
        print(
            f"{step:4d} {mean:7.2f} {apart:8.1e} {rows[-1]['seconds']:7.1f} s  {answers[step % len(answers)][0]}",
            flush=True,
        )
    return rows


def main() -> None:
    """From the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base-url", default=os.environ.get("TINKER_BASE_URL", "http://127.0.0.1:8000"))
    parser.add_argument("--model", default="demo", help="a name that the server serves")
    parser.add_argument("--loss", default="importance_sampling", choices=["importance_sampling", "ppo"])
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--group", type=int, default=8, help="answers to a question")
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--rank", type=int, default=32, help="of the LoRA adapter")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, help="a file for the table")
    options = parser.parse_args()
    # The SDK wants a key that begins with tml-; a server on the loopback takes any.
    key = os.environ.get("TINKER_API_KEY", "tml-local")
    with tinker.ServiceClient(base_url=options.base_url, api_key=key) as service:
        client = service.create_lora_training_client(options.model, rank=options.rank, seed=options.seed).result()
        rows = learn(client, options)
    if options.json is not None:
        options.json.write_text(
            json.dumps({"model": options.model, "loss": options.loss, "rows": rows}, indent=1) + "\n"
        )


if __name__ == "__main__":
    main()
