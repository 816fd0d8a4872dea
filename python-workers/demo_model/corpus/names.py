"""The user's name: said in one turn, asked for in a later one. Teaches the model to copy from the conversation."""

from __future__ import annotations

import random

from .family import Turn
from .phrasing import as_typed, expand, words

_NAMES = words("""
Anna Ben Clara David Emma Felix Grace Henry Ida Jack Kate Leo Mia Noah Olivia Paul Quinn Rosa Sam Tom Uma Victor
Wendy Xavier Yara Zoe Alice Bob Carol Dan Eve Frank Gina Hugo Iris John Karl Lena Max Nina Oscar Peter Rita Sara
Tim Ursula Vera Will Yusuf Zara Maria Ali Fatima Chen Wei Hiro Yuki Raj Priya Olga Ivan Sofia Diego Lucas Julia
Marco Elena Amir Leila Kofi Ama Nils Freya Liam Aisha Omar Mei Adam Bella Chris Diana Eric Fiona George Hannah
Isaac Jane Kevin Laura Mark Nora Owen Petra Robert Susan Thomas Violet Walter Alex Sandra Michael Sarah James
Linda William Barbara Richard Jessica Daniel Nancy Matthew Lisa Anthony Betty Steven Sandy Andrew Emily Joshua
Amanda
""")
_STARTS = words("Ba Be Da Do Fa Fi Ga Ho Ja Ju Ka Ki La Lo Ma Mi Na Ni Pa Ra Ro Sa Si Ta To Va Vi Wa Ya Zu")
_ENDS = words("lin ra nok mel dor via sten la rik na bert mo tis ren lo vin da mar ko ya son lia")
_TELL = (
    "[My name is|I am|I'm|They call me|Call me|You can call me|People call me|The name is|My friends "
    "call me] {name}[.|!|]"
)
_GREET = "[Hi|Hello|Hey|Good morning][!|,] [my name is|I am|I'm|this is] {name}[.|!|]"
_ASK = (
    "[What is my name|What's my name|Do you know my name|Do you remember my name|Who am I|Tell me my "
    "name|Can you tell me my name|What did I say my name was|How am I called|Say my name|Do you still "
    "know my name|And what is my name]?"
)


def random_name(rng: random.Random) -> str:
    """A common name, or now and then an invented one."""
    return (
        rng.choice(_NAMES)
        if rng.random() < 0.6
        else rng.choice(_STARTS) + rng.choice(_ENDS) + rng.choice(("", "", rng.choice(_ENDS)))
    )


def introduce(rng: random.Random) -> list[Turn]:
    """The user says a name; a question for it follows most of the time (the mix may put other turns between them)."""
    name = random_name(rng)
    tell = expand(rng, rng.choice((_TELL, _GREET))).format(name=name)
    turns = [
        Turn(
            tell,
            expand(rng, "[Nice to meet you|It is nice to meet you], {name}! How can I help you?").format(name=name),
        )
    ]
    if rng.random() < 0.8:
        turns.append(Turn(as_typed(rng, expand(rng, _ASK)), f"Your name is {name}."))
    return turns


def not_told(rng: random.Random) -> list[Turn]:
    """The name is asked for and was never said."""
    return [Turn(as_typed(rng, expand(rng, _ASK)), "You have not told me your name yet. What is it?")]


def greet_someone(rng: random.Random) -> list[Turn]:
    """Say hello to somebody by name."""
    name = random_name(rng)
    return [
        Turn(
            expand(rng, f"[Say [hello|hi] to|Greet|Please greet] [my friend |]{name}."),
            f"Hello, {name}! It is nice to meet you.",
        )
    ]
