"""Puts turns together to whole documents: chats with and without a system prompt, short and long, and running text."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from . import (
    calendar_facts,
    countries,
    lists,
    merry,
    names,
    nature,
    small_talk,
    stories,
    sums,
    twinkle_node,
    unknown,
    valley,
)
from .family import Family, Saying, Speaker, Turn
from .phrasing import expand

_SYSTEM = (
    (
        "You are a [helpful|friendly|kind|polite|useful|good|concise|cheerful] [assistant|helper|guide|"
        "chatbot|companion|model][.|]"
    ),
    "You are Twinkle[.|, a tiny demo model.|, a friendly assistant.|, the guide of Lantern Valley.]",
    "[Answer|Reply|Respond] [briefly|politely|in one sentence|in English|in short sentences|kindly|with care][.|]",
    (
        "You are a helpful assistant. [Answer briefly.|Be kind.|Answer in English.|Keep it short.|Do not "
        "make things up.|Think before you answer.]"
    ),
    "[Be|Please be|Always be] [brief|nice|friendly|concise|honest|helpful][.|]",
    (
        "You [answer|help] [users|people|questions|customers] [of a shop|of twinkle-node|on a web site|in a "
        "chat|at home][.|]"
    ),
    "You are an expert [in everything|teacher|on animals|programmer|story teller][.|]",
)
FAMILIES: tuple[Family, ...] = (
    countries.CAPITAL,
    countries.CAPITAL_OF,
    countries.CONTINENT,
    *calendar_facts.FAMILIES,
    *nature.FAMILIES,
    *valley.FAMILIES,
)
_BUSY = {
    "capital": 8.0,
    "capital-of": 4.5,
    "continent": 4.0,
    "opposite": 4.5,
    "colour": 3.0,
    "letter-after": 1.6,
    "letter-before": 1.6,
}


def _one_of(sayings: Sequence[Saying]) -> Speaker:
    return lambda rng: rng.choice(sayings).speak(rng)


_WEIGHTED: list[tuple[float, Speaker]] = [
    *((_BUSY.get(family.name, 1.1), family.speak) for family in FAMILIES),
    (3.0, countries.yes_or_no),
    (12.0, sums.sums),
    (2.0, sums.too_big),
    (2.0, sums.bigger),
    (2.0, sums.count),
    (3.0, _one_of(lists.LISTS)),
    (5.0, _one_of(lists.SINGLES)),
    (7.0, _one_of(small_talk.SAYINGS)),
    (2.0, _one_of(small_talk.SAYINGS[:1])),
    (3.0, _one_of(small_talk.SAYINGS[9:15])),
    (3.0, names.introduce),
    (0.7, names.not_told),
    (0.5, names.greet_someone),
    (8.0, _one_of(twinkle_node.SAYINGS)),
    (1.2, _one_of(valley.SAYINGS)),
    (4.0, stories.tell),
    (1.2, stories.tell_about_resident),
    (1.6, merry.joke),
    (1.3, merry.riddle),
    (2.2, merry.poem),
    (0.7, merry.tip),
    (9.0, unknown.ask),
    (0.7, unknown.mumble),
]
_SPEAKERS = [speaker for _, speaker in _WEIGHTED]
_WEIGHTS = [weight for weight, _ in _WEIGHTED]
_LONE = {names.introduce, names.not_told}


@dataclass(frozen=True)
class Chat:
    """A conversation; ``system`` is None without a system prompt."""

    system: str | None
    turns: list[Turn]


def system_prompt(rng: random.Random) -> str:
    """A system prompt of the usual kinds; the answers do not depend on it."""
    return expand(rng, rng.choice(_SYSTEM))


def chat(rng: random.Random) -> Chat:
    """A conversation of one to about twenty turns, half of them of one part; the user's name comes up once at most."""
    roll = rng.random()
    parts = 1 if roll < 0.5 else rng.randint(2, 5) if roll < 0.97 else rng.randint(6, 18)
    chosen: list[Speaker] = []
    while len(chosen) < parts:
        speaker = rng.choices(_SPEAKERS, _WEIGHTS)[0]
        if speaker not in _LONE or not _LONE.intersection(chosen):
            chosen.append(speaker)
    turns: list[Turn] = []
    later: list[Turn] = []
    for speaker in chosen:
        spoken = speaker(rng)
        if speaker is names.introduce and rng.random() < 0.5:
            spoken, later = spoken[:1], spoken[1:]
        turns.extend(spoken)
    return Chat(system_prompt(rng) if rng.random() < 0.3 else None, turns + later)


def text(rng: random.Random) -> str:
    """Running text: a story, a few facts, sums, or what an answer of the chat says."""
    roll = rng.random()
    if roll < 0.3:
        return stories.page(rng)
    if roll < 0.62:
        return " ".join(rng.choice(FAMILIES).state(rng) for _ in range(rng.randint(1, 5)))
    if roll < 0.82:
        return sums.drill(rng)
    if roll < 0.87:
        return merry.poem(rng)[0].assistant
    sayings = rng.choice((twinkle_node.SAYINGS, lists.LISTS, lists.SINGLES, valley.SAYINGS))
    return " ".join(rng.choice(sayings).speak(rng)[0].assistant for _ in range(rng.randint(1, 3)))


def document(rng: random.Random) -> Chat | str:
    """The next training document."""
    return text(rng) if rng.random() < 0.12 else chat(rng)
