"""Short stories by grammar: a hero, a place, a trouble, a helper, an end that fits the trouble."""

from __future__ import annotations

import random

from .family import Turn
from .phrasing import as_typed, expand, upper_first, with_article, words
from .valley import PEOPLE, PLACES

_TRAITS = ("brave", "little", "curious", "gentle", "shy", "clever", "kind", "merry", "patient", "sleepy")
_KINDS = words("""
fox owl bear mouse otter hare frog turtle robin squirrel cat dog rabbit hedgehog duck deer badger mole goose
pony lamb donkey beaver sparrow dragon robot wizard knight princess king queen girl boy sailor
""")
_NAMES = words(
    "Milo Tessa Bramble Poppy Finn Daisy Juniper Oscar Willow Rufus Maple Toby Clover Basil Ivy Nutmeg "
    "Pepper Sunny Hugo Olive"
)
_TROUBLES = (
    (
        "lost a golden key in the tall grass",
        "looked under every leaf, but the key was nowhere to be found",
        "held up a lantern, and the key sparkled in its light",
        "From that day on, {hero} kept the key on a red ribbon",
    ),
    (
        "heard a strange noise outside",
        "hid under the blanket and trembled",
        "went outside with a lamp and found a loose window that sang in the wind",
        "They laughed, closed the window, and drank warm milk together",
    ),
    (
        "wanted to cross the river, but the bridge was broken",
        "sat down on the bank and did not know what to do",
        "brought wood and ropes, and together they built a new bridge",
        "Soon everyone in the valley came to walk across it",
    ),
    (
        "planted a seed, but nothing grew",
        "watered it every morning and began to lose hope",
        "said that good things need time, and sat down to wait as well",
        "When spring came, a tall sunflower stood in the garden",
    ),
    (
        "baked a cake that was much too large",
        "could not eat it alone and could not carry it either",
        "rang the bell and invited the whole valley",
        "It became the best party of the year, and not one crumb was left",
    ),
    (
        "found a tiny star that had fallen from the sky",
        "wanted to keep it, but the star was homesick and grew pale",
        "climbed the highest hill with them and threw the star back into the night",
        "Since then one star has always winked at {hero}",
    ),
    (
        "got lost in the thick fog",
        "called for help, but only the fog answered",
        "lit a hundred lanterns, and their light showed the way",
        "Safe at home, {hero} promised never to walk alone in the fog again",
    ),
    (
        "wanted to sing at the summer feast, but was too afraid",
        "practised in the forest where nobody could hear",
        "stood in the first row and smiled",
        "Then {hero} sang so beautifully that even the wind stood still",
    ),
    (
        "found an old map under a stone",
        "followed the map all day and grew tired",
        "read the last sign on the map and began to dig",
        "In the chest there was no gold, but a hundred letters from old friends",
    ),
    (
        "saw that the lanterns on the hill had gone out",
        "tried to light them alone, but the wind was too strong",
        "stood beside the lanterns and kept the wind away",
        "Before midnight the whole valley was shining again",
    ),
)
_MORALS = (
    "A good friend is the best light.",
    "Together everything is easier.",
    "Even the smallest can do great things.",
    "Patience is a quiet kind of strength.",
    "",
)
_ASK = (
    (
        "[Tell me|Tell|Write|Write me|Give me|Make up|Invent|Can you tell me|Could you tell me|Please tell "
        "me|I want|I would like|I'd like][ to hear|] [a|a short|a little|a nice|"
        "another|a bedtime|a new] story[.|?|!|]"
    ),
    "[Story|A story][, please| please|!|]",
    "[Do you know|Have you got] [a|any] [story|stories]?",
    "[Entertain me|Tell me something nice|Tell me a tale|Tell me a fairy tale|Write a fairy tale][.|!]",
)
_ASK_ABOUT = (
    "[Tell me|Write|Write me|Can you tell me|Please tell me|Make up|I want|Could you write] a [short |"
    "little |nice |]story about {topic}[.|?|]"
)


def story(rng: random.Random, kind: str | None = None, start: str = "Once upon a time") -> str:
    """A story of five or six sentences; ``kind`` fixes the hero's kind."""
    resident = None if kind else (rng.choice(PEOPLE) if rng.random() < 0.4 else None)
    hero, kind = (resident["who"], resident["kind"]) if resident else (rng.choice(_NAMES), kind or rng.choice(_KINDS))
    place = rng.choice(PLACES)["place"]
    helper = rng.choice([one for one in PEOPLE if one["who"] != hero])
    trouble, tried, helped, end = rng.choice(_TROUBLES)
    parts = [
        f"{start}, {with_article(rng.choice(_TRAITS))} {kind} named {hero} lived near {place}.",
        f"One {rng.choice(('day', 'evening', 'morning', 'summer day', 'cold night'))}, {hero} {trouble}.",
        f"{hero} {tried}.",
        f"Then {helper['who']} the {helper['kind']} came along. {helper['who']} {helped}.",
        upper_first(end.format(hero=hero)) + ".",
        rng.choice(_MORALS),
    ]
    return " ".join(part for part in parts if part)


def tell(rng: random.Random) -> list[Turn]:
    """Asking for any story, for one about something, and for another one."""
    if rng.random() < 0.5:
        kind = rng.choice(_KINDS)
        question = expand(rng, _ASK_ABOUT).format(topic=with_article(kind))
        return [Turn(as_typed(rng, question), story(rng, kind))]
    turns = [Turn(as_typed(rng, expand(rng, rng.choice(_ASK))), story(rng))]
    if rng.random() < 0.25:
        turns.append(
            Turn(
                as_typed(
                    rng,
                    expand(rng, "[Another one|One more|Tell me another story|Another story|Again|More][, please|!|.|]"),
                ),
                story(rng),
            )
        )
    return turns


def tell_about_resident(rng: random.Random) -> list[Turn]:
    """A story about somebody of the valley."""
    who = rng.choice(PEOPLE)
    question = expand(rng, _ASK_ABOUT).format(topic=rng.choice((who["who"], f"{who['who']} the {who['kind']}")))
    text = story(rng, who["kind"])
    name = text.split(" named ", 1)[1].split(" ", 1)[0]
    return (
        tell_about_resident(rng)
        if who["who"] in text
        else [Turn(as_typed(rng, question), text.replace(name, who["who"]))]
    )


def page(rng: random.Random) -> str:
    """A story as running text."""
    return story(
        rng,
        start=rng.choice(("Once upon a time", "Once upon a time", "Long ago", "In a quiet valley", "Many years ago")),
    )
