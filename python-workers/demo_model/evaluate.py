"""Asks a model folder what it was taught, in words it was not taught with: ``python evaluate.py [model]``.

Prints sample answers, a conversation, and the rate of right answers per kind, greedy and sampled.
Exits 1 when the greedy rate is below ``--at-least``.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import held_out
import torch
from corpus import mix
from corpus.phrasing import slots
from transformers import AutoModelForCausalLM, AutoTokenizer


@dataclass(frozen=True)
class Check:
    """One prompt of a kind and the words that a right answer contains."""

    kind: str
    prompt: str
    expect: str


def checks(seed: int) -> list[Check]:
    """Every row of every family with a held-out wording, sums, single facts and prompts to refuse."""
    rng = random.Random(seed)
    made: list[Check] = []
    for family in mix.FAMILIES:
        for row in family.rows if family.name in held_out.QUESTIONS else ():
            pattern = rng.choice(held_out.QUESTIONS[family.name])
            forms = slots(row)
            made.append(Check(family.name, pattern.format_map(forms), family.expect.format_map(forms)))
    for _ in range(120):
        sign, one, two = rng.choice("+-*"), rng.randint(0, 10), rng.randint(0, 10)
        one = one + two if sign == "-" else one
        word = {"+": "plus", "-": "minus", "*": "times"}[sign]
        result = {"+": one + two, "-": one - two, "*": one * two}[sign]
        prompt = rng.choice(held_out.SUMS).replace("{sum}", f"{one} {rng.choice((sign, word))} {two}")
        made.append(Check("sum", prompt, f"{one} {word} {two} is {result}."))
    made += [Check("single", prompt, expect) for prompt, expect in held_out.SINGLES]
    made += [Check("refused", prompt, "Ask me about") for prompt in held_out.REFUSED]
    return made


class Asker:
    """A loaded model folder that answers batches of conversations, computing in float32."""

    def __init__(self, folder: Path) -> None:
        self.tokenizer = AutoTokenizer.from_pretrained(folder, padding_side="left")
        self.model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()

    def complete(self, prompts: Sequence[str], temperature: float, limit: int = 160) -> list[tuple[str, bool]]:
        """The continuation of each prompt and whether it ended by itself."""
        done: list[tuple[str, bool]] = []
        sampling = (
            {"do_sample": True, "temperature": temperature, "top_p": 1.0, "top_k": 0}
            if temperature
            else {"do_sample": False, "temperature": None, "top_p": None}
        )
        for at in range(0, len(prompts), 64):
            inputs = self.tokenizer(
                list(prompts[at : at + 64]), return_tensors="pt", padding=True, add_special_tokens=False
            )
            with torch.inference_mode():
                output = self.model.generate(**inputs, max_new_tokens=limit, **sampling)
            for row in output[:, inputs["input_ids"].shape[1] :]:
                ended = bool(torch.isin(row, torch.tensor([0, 2])).any())
                done.append((self.tokenizer.decode(row, skip_special_tokens=True), ended))
        return done

    def prompt(self, messages: Sequence[dict[str, str]]) -> str:
        """The text that the chat template makes of a conversation."""
        return self.tokenizer.apply_chat_template(list(messages), tokenize=False, add_generation_prompt=True)

    def answer(self, prompts: Sequence[str], temperature: float) -> list[tuple[str, bool]]:
        """Answers to single questions without a system prompt."""
        return self.complete([self.prompt([{"role": "user", "content": prompt}]) for prompt in prompts], temperature)


def unseen(prompts: Sequence[str], documents: int = 20_000) -> list[str]:
    """The prompts that do stand in a sample of the training text; empty when the held-out words are held out."""
    rng = random.Random(0)
    seen: set[str] = set()
    for _ in range(documents):
        document = mix.document(rng)
        if not isinstance(document, str):
            seen.update(turn.user.lower().strip(" .?!") for turn in document.turns)
    return [prompt for prompt in prompts if prompt.lower().strip(" .?!") in seen]


def score(asker: Asker, made: Sequence[Check], temperature: float) -> float:
    """Print right answers per kind and the wrong ones; the rate over all."""
    answers = asker.answer([check.prompt for check in made], temperature)
    right = [check.expect in text and ended for check, (text, ended) in zip(made, answers, strict=True)]
    print(f"\n== temperature {temperature}: {sum(right)}/{len(right)} right, {100 * sum(right) / len(right):.1f} %")
    for kind in dict.fromkeys(check.kind for check in made):
        of_kind = [ok for ok, check in zip(right, made, strict=True) if check.kind == kind]
        print(f"   {kind:14s} {sum(of_kind):3d}/{len(of_kind)}", end="\n" if sum(of_kind) < len(of_kind) else " all\n")
    for check, (text, _), ok in zip(made, answers, right, strict=True):
        if not ok:
            print(f"   wrong: {check.prompt} -> {text}")
    return sum(right) / len(right)


def show(asker: Asker) -> None:
    """Print answers, completions and a conversation for a person to read."""
    for temperature in (0.0, 0.7):
        print(f"\n== answers at temperature {temperature}")
        for prompt, (text, ended) in zip(held_out.READ, asker.answer(held_out.READ, temperature), strict=True):
            print(f"> {prompt}\n  {text}{'' if ended else ' [did not end]'}")
    for prompt, (text, _) in zip(held_out.COMPLETIONS, asker.complete(held_out.COMPLETIONS, 0.0), strict=True):
        print(f"{prompt}|{text}")
    print("\n== conversation")
    messages = [{"role": "system", "content": "You are a helpful assistant."}]
    for prompt in held_out.CONVERSATION:
        messages.append({"role": "user", "content": prompt})
        text, _ = asker.complete([asker.prompt(messages)], 0.0)[0]
        messages.append({"role": "assistant", "content": text})
        print(f"> {prompt}\n  {text}")


def main() -> int:
    """Read the command line, score and show."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "model", type=Path, nargs="?", default=Path(__file__).parent / "model", help="model folder (default: model)"
    )
    parser.add_argument("--seed", type=int, default=11, help="seed of wordings and sampling (default: 11)")
    parser.add_argument(
        "--at-least", type=float, default=0.95, help="exit 1 when the greedy rate is lower (default: 0.95)"
    )
    parser.add_argument("--threads", type=int, default=2, help="CPU threads (default: 2)")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    made = checks(options.seed)
    if leaked := unseen([check.prompt for check in made if check.kind != "sum"]):
        print(f"in the training text: {leaked}")
    asker = Asker(options.model)
    show(asker)
    greedy = score(asker, made, 0.0)
    score(asker, made, 0.7)
    return 0 if greedy >= options.at_least else 1


if __name__ == "__main__":
    sys.exit(main())
