"""What the corpus is made of: turns, and families of facts that share their patterns. Knows no fact itself."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from .phrasing import as_typed, fill


@dataclass(frozen=True)
class Turn:
    """One question and its answer, as they stand in a chat."""

    user: str
    assistant: str


Speaker = Callable[[random.Random], list[Turn]]
"""Makes one or more turns that belong together (a question and its follow-ups)."""


@dataclass(frozen=True)
class Family:
    """Facts of one kind.

    rows: one mapping of slot names to values per fact.
    questions, answers: patterns; an answer must hold for every question of the family.
    follows: short questions that make sense after another fact of the family, such as ``And {country}?``.
    statements: sentences for running text, so that a plain completion knows the fact too.
    expect: pattern of the words that a right answer contains.
    """

    name: str
    rows: Sequence[Mapping[str, str]]
    questions: Sequence[str]
    answers: Sequence[str]
    expect: str
    follows: Sequence[str] = field(default=())
    statements: Sequence[str] = field(default=())

    def turn(self, rng: random.Random, row: Mapping[str, str], follow: bool = False) -> Turn:
        """A turn about one row."""
        pattern = rng.choice(self.follows if follow else self.questions)
        return Turn(as_typed(rng, fill(rng, pattern, row)), fill(rng, rng.choice(self.answers), row))

    def speak(self, rng: random.Random) -> list[Turn]:
        """A question about a random row and, now and then, up to two follow-ups about others."""
        turns = [self.turn(rng, rng.choice(self.rows))]
        while self.follows and len(turns) < 3 and rng.random() < 0.25:
            turns.append(self.turn(rng, rng.choice(self.rows), follow=True))
        return turns

    def state(self, rng: random.Random) -> str:
        """One fact as a sentence of running text."""
        return fill(rng, rng.choice(self.statements or self.answers), rng.choice(self.rows))


@dataclass(frozen=True)
class Saying:
    """One thing with its own questions and answers, such as a greeting or a fact that has no siblings."""

    questions: Sequence[str]
    answers: Sequence[str]
    expect: str = ""

    def speak(self, rng: random.Random) -> list[Turn]:
        """A question and one of its answers."""
        question = as_typed(rng, fill(rng, rng.choice(self.questions), {}))
        return [Turn(question, fill(rng, rng.choice(self.answers), {}))]


def table(columns: str, text: str) -> list[dict[str, str]]:
    """Rows from lines of comma-separated values: ``table("country,capital", "France,Paris\\nSpain,Madrid")``."""
    names = columns.split(",")
    return [dict(zip(names, line.split(","), strict=True)) for line in text.strip().splitlines()]
