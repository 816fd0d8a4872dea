"""Arithmetic with small numbers, comparisons and counting; larger sums get a friendly no."""

from __future__ import annotations

import random

from .family import Turn
from .phrasing import as_typed, expand

_WORDS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]
_ASK = (
    "[What is|What's|How much is|Calculate|What does] {sum}[ make|]?",
    "{sum}?",
    "{sum} =",
    "{sum} is [what|how much]?",
    "[Tell me|Give me] [the result of |what ]{sum}[ is|].",
    "[Can you|Could you|Please] [calculate|work out|compute|add up|solve] {sum}[ for me|]?",
    "What is the [answer to|result of] {sum}?",
    "[I need|Give me] the answer to {sum}.",
    "[Do you know|Can you tell me] [what {sum} is|how much {sum} is|{sum}]?",
)
_SIGNS = {
    "plus": ("plus", "plus", "+", "+", "and"),
    "minus": ("minus", "minus", "-", "-"),
    "times": ("times", "times", "*", "x", "multiplied by"),
}
_TOO_BIG = "That sum is too large for me. I can add and subtract numbers up to 20, and multiply numbers up to 10."


def _operands(rng: random.Random, kind: str) -> tuple[int, int, int]:
    """Two numbers and the result: sums and differences up to 20, products of numbers up to 10."""
    if kind == "times":
        one, two = rng.randint(0, 10), rng.randint(0, 10)
        return one, two, one * two
    total = rng.randint(0, 20) if rng.random() < 0.5 else rng.randint(8, 20)
    one = rng.randint(0, total)
    return (one, total - one, total) if kind == "plus" else (total, one, total - one)


def _shown(rng: random.Random, number: int, in_words: bool) -> str:
    return _WORDS[number] if in_words and number < len(_WORDS) else str(number)


def _question(rng: random.Random, kind: str, one: int, two: int) -> str:
    sign = rng.choice(_SIGNS[kind])
    in_words = sign.isalpha() and rng.random() < 0.25
    tight = sign in "+-*x" and rng.random() < 0.3
    left, right = _shown(rng, one, in_words), _shown(rng, two, in_words)
    text = f"{left}{sign}{right}" if tight else f"{left} {sign} {right}"
    return as_typed(rng, expand(rng, rng.choice(_ASK)).replace("{sum}", text))


def sum_turn(rng: random.Random, kind: str | None = None) -> Turn:
    """One sum with its answer in digits."""
    kind = kind or rng.choice(("plus", "plus", "minus", "times"))
    one, two, result = _operands(rng, kind)
    return Turn(_question(rng, kind, one, two), f"{one} {kind} {two} is {result}.")


def sums(rng: random.Random) -> list[Turn]:
    """A few sums in a row; follow-ups are short."""
    turns = [sum_turn(rng)]
    while rng.random() < 0.5 and len(turns) < 5:
        kind = rng.choice(("plus", "minus", "times"))
        one, two, result = _operands(rng, kind)
        lead = rng.choice(("And ", "And what is ", "What about ", "And now ", "Now "))
        turns.append(Turn(f"{lead}{one} {rng.choice(_SIGNS[kind][:3])} {two}?", f"{one} {kind} {two} is {result}."))
    return turns


def too_big(rng: random.Random) -> list[Turn]:
    """A sum beyond the table."""
    kind = rng.choice(("plus", "minus", "times"))
    one, two = (rng.randint(21, rng.choice((99, 999, 9999, 99999))) for _ in range(2))
    if kind == "times" and rng.random() < 0.3:
        two = rng.randint(2, 10)
    return [Turn(_question(rng, kind, one, two), _TOO_BIG)]


def bigger(rng: random.Random) -> list[Turn]:
    """Which of two numbers up to 20 is larger or smaller."""
    one, two = rng.sample(range(21), 2)
    large = rng.random() < 0.6
    word = rng.choice(("bigger", "larger", "greater") if large else ("smaller", "less"))
    answer = max(one, two) if large else min(one, two)
    other = one + two - answer
    question = expand(rng, f"[Which is|What is|Which number is|What's] {word}[,|:] {one} or {two}?")
    if rng.random() < 0.3:
        question = f"Is {one} {word} than {two}?"
        start = "Yes" if answer == one else "No"
        return [Turn(as_typed(rng, question), f"{start}, {answer} is {word} than {other}.")]
    return [Turn(as_typed(rng, question), f"{answer} is {word} than {other}.")]


def count(rng: random.Random) -> list[Turn]:
    """Counting up to a number, or down from it."""
    top = rng.randint(3, 20)
    spelled = _WORDS[top] if top < len(_WORDS) and rng.random() < 0.5 else str(top)
    if top <= 10 and rng.random() < 0.25:
        question = expand(rng, f"[Count|Can you count] [down|backwards] from {spelled}[ to one| to 1|].")
        return [Turn(as_typed(rng, question), ", ".join(str(n) for n in range(top, 0, -1)) + ".")]
    question = expand(
        rng, f"[Count|Can you count|Please count|Could you count] [from one |from 1 |]to {spelled}[ for me|]."
    )
    return [Turn(as_typed(rng, question), ", ".join(str(n) for n in range(1, top + 1)) + ".")]


def drill(rng: random.Random) -> str:
    """Sums as running text."""
    return " ".join(sum_turn(rng).assistant for _ in range(rng.randint(3, 10)))
