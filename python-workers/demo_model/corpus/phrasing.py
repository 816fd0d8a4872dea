"""Surface forms: alternatives inside a pattern, slots with their derived forms, and the noise of real typing.

Knows nothing of what the sentences say.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping

_INNERMOST = re.compile(r"\[([^\[\]]*)\]")
_VOWELS = "aeiou"
_LEADS = (
    "Please tell me: ",
    "Tell me, ",
    "Hey, ",
    "Hi, ",
    "Hi! ",
    "Hello! ",
    "Hello, ",
    "OK, ",
    "So, ",
    "Quick question: ",
)
_LEADS += ("Just curious: ", "By the way, ", "Say, ", "Hmm, ", "Maybe you know: ", "I would like to know: ")
_LEADS += (
    "I wonder: ",
    "One more question: ",
    "Question: ",
    "Twinkle, ",
    "Hey Twinkle, ",
    "Now tell me: ",
    "Can you tell me: ",
)
_TAILS = (" Thanks!", " Thank you.", " please", " Please.", " Please answer.", " :)", " Do you know?", " Any idea?")


def expand(rng: random.Random, pattern: str) -> str:
    """Replace every ``[a|b|c]`` of a pattern (they nest) with one of its alternatives; an alternative may be empty."""
    while True:
        pattern, count = _INNERMOST.subn(lambda match: rng.choice(match.group(1).split("|")), pattern)
        if count == 0:
            return pattern


def words(text: str) -> list[str]:
    """The words of a text, split at white space; entries of several words are split at ``|`` and line ends instead."""
    return text.strip().replace("\n", "|").split("|") if "|" in text else text.split()


def with_article(word: str) -> str:
    """``owl`` gives ``an owl``."""
    return f"an {word}" if word[0].lower() in _VOWELS else f"a {word}"


def upper_first(text: str) -> str:
    """The same text with a capital first letter."""
    return text[:1].upper() + text[1:]


def lower_first(text: str) -> str:
    """The same text with a small first letter, unless its first word is ``I`` or has capitals inside."""
    first = text.split(" ", 1)[0]
    return text if first == "I" or not first[1:].islower() else text[:1].lower() + text[1:]


def slots(row: Mapping[str, str]) -> dict[str, str]:
    """Every value under its name, plus ``Name`` (capitalized), ``a_name`` and ``A_name`` (with its article)."""
    forms: dict[str, str] = {}
    for name, value in row.items():
        forms[name] = value
        forms[upper_first(name)] = upper_first(value)
        forms[f"a_{name}"] = with_article(value)
        forms[f"A_{name}"] = upper_first(with_article(value))
    return forms


def fill(rng: random.Random, pattern: str, row: Mapping[str, str]) -> str:
    """Expand the alternatives, then put the row's values into ``{slots}``."""
    return expand(rng, pattern).format_map(slots(row))


def _typo(rng: random.Random, text: str) -> str:
    """One letter dropped, doubled or swapped with its neighbour, somewhere inside."""
    at = rng.randrange(1, len(text) - 1)
    if not (text[at].isalpha() and text[at + 1].isalpha()):
        return text
    kind = rng.randrange(3)
    if kind == 0:
        return text[:at] + text[at + 1 :]
    if kind == 1:
        return text[:at] + text[at] + text[at:]
    return text[:at] + text[at + 1] + text[at] + text[at + 2 :]


def as_typed(rng: random.Random, question: str) -> str:
    """A question as a user may type it: with a lead or tail, without capitals or punctuation, rarely with a typo."""
    if rng.random() < 0.14:
        question = rng.choice(_LEADS) + lower_first(question)
    if rng.random() < 0.08:
        question += rng.choice(_TAILS)
    roll = rng.random()
    if roll < 0.14:
        question = question.lower()
    elif roll < 0.22:
        question = lower_first(question)
    elif roll < 0.24:
        question = question.upper()
    roll = rng.random()
    if roll < 0.16:
        question = question.rstrip(".?!")
    elif roll < 0.20:
        question = question.rstrip(".?!") + rng.choice(("??", "!", "?!", " ?", "..."))
    if rng.random() < 0.03 and len(question) > 8:
        question = _typo(rng, question)
    return question
