"""Jokes, riddles, poems, and advice: short fixed texts."""

from __future__ import annotations

import random

from .family import Turn
from .phrasing import as_typed, expand

_JOKES = (
    "Why did the owl bring a lantern to school? Because she wanted to be bright.",
    "Why did the clock go to bed early? It was wound up all day.",
    "What did the river say to the bridge? You always get over me.",
    "Why did the bear stay calm in the storm? He could bear it.",
    "Why was the computer cold? It left its windows open.",
    "What does a process say when it is tired? Please let me rank last today.",
    "Why did the baker work so much? He needed the dough.",
    "Why did the tiny model stop talking? It had reached its last token.",
    "What is a frog's favourite drink? Croak-a-cola.",
    "Why do bees hum? They forgot the words.",
)
_RIDDLES = (
    ("What has hands but cannot clap?", "a clock"),
    ("What has a neck but no head?", "a bottle"),
    ("What gets wetter the more it dries?", "a towel"),
    ("What has teeth but cannot bite?", "a comb"),
    ("What runs all day but has no legs?", "a river"),
    ("What has many leaves but is not a tree?", "a book"),
    ("What can you catch but never throw?", "a cold"),
)
_POEMS = {
    "the moon": (
        "The moon is round, the moon is bright, it walks across the sky at night. It looks at hills and "
        "looks at seas, and hangs its silver in the trees."
    ),
    "the sea": (
        "The sea is wide, the sea is deep, it sings the little boats to sleep. And every wave that comes "
        "ashore will whisper: come and hear some more."
    ),
    "autumn": (
        "The leaves turn red, the leaves turn brown, the wind comes by and shakes them down. The squirrel "
        "hides its nuts with care, for winter is already there."
    ),
    "spring": (
        "The snow is gone, the brook runs free, a robin sings in every tree. The meadow wears a coat of "
        "green, the finest coat I have ever seen."
    ),
    "winter": (
        "The snow falls soft, the snow falls slow, and lanterns paint a golden glow. The bear is sleeping in "
        "his den, and spring will wake him up again."
    ),
    "a friend": (
        "A friend is like a little light that keeps you company at night. And if the road is dark and long, "
        "a friend will hum a little song."
    ),
    "the stars": (
        "A thousand stars, so far, so small, and no one ever counts them all. But one of them, I know, is "
        "mine, the one that gives a twinkling sign."
    ),
    "the rain": (
        "The rain goes tapping on the pane, and tells its story once again. The frogs are glad, the ducks "
        "are too, and every leaf is washed like new."
    ),
    "a cat": (
        "The cat lies sleeping in the sun, her busy day has just begun. She dreams of fish, she dreams of "
        "cream, and purrs through every happy dream."
    ),
    "love": (
        "Love is a lamp, love is a song, love is a hand when nights are long. It asks for little, gives a "
        "lot, and stays with you in every spot."
    ),
}
_ANOTHER = "[Another one|One more|Tell me another joke|Another joke|And another|One more joke][, please|!|.|]"
_TIPS = (
    "Drink some water, take a walk, and then start with the smallest step.",
    "Make a short list, and do the first thing on it right now.",
    "Sleep well tonight. Most troubles look smaller in the morning.",
    "Be kind to yourself. Even the owl needs a rest.",
)


def joke(rng: random.Random) -> list[Turn]:
    """A joke, and at times another."""
    first, second = rng.sample(_JOKES, 2)
    ask = (
        "[Tell me|Tell|Do you know|Can you tell me|Please tell me|I want to hear|Give me|Say] [a|a good|"
        "another|a funny|some] joke[.|?|!|]"
    )
    question = expand(rng, f"[{ask}|{ask}|{ask}|Make me laugh.|Say something funny.|Joke, please.|Be funny.]")
    turns = [Turn(as_typed(rng, question), first)]
    if rng.random() < 0.3:
        turns.append(Turn(as_typed(rng, expand(rng, _ANOTHER)), second))
    return turns


def riddle(rng: random.Random) -> list[Turn]:
    """A riddle; the user gives up or guesses."""
    question, answer = rng.choice(_RIDDLES)
    ask = expand(rng, "[Tell me|Give me|Ask me|Do you know|Can you tell me] [a|another] riddle[.|?|!|]")
    turns = [Turn(as_typed(rng, ask), f"{question} Say the answer, or say that you give up.")]
    if rng.random() < 0.5:
        turns.append(
            Turn(
                as_typed(
                    rng,
                    expand(
                        rng,
                        (
                            "[I give up|I do not know|I don't know|No idea|Tell me the answer|"
                            "What is the answer|What is it][.|!|?]"
                        ),
                    ),
                ),
                f"It is {answer}.",
            )
        )
    else:
        guess = rng.choice(_RIDDLES)[1]
        reply = "That is right, well done!" if guess == answer else f"Not quite. It is {answer}."
        turns.append(
            Turn(
                as_typed(
                    rng,
                    expand(
                        rng, f"[Is it {guess}?|It is {guess}.|{guess[0].upper()}{guess[1:]}!|I think it is {guess}.]"
                    ),
                ),
                reply,
            )
        )
    return turns


def poem(rng: random.Random) -> list[Turn]:
    """A poem, about one of the topics or about any."""
    topic = rng.choice(list(_POEMS))
    ask = "[Write|Write me|Tell me|Can you write|Please write|Make|Give me|Recite|I want] a [short |little |nice |]poem"
    about = f" about {topic.removeprefix('the ') if rng.random() < 0.3 else topic}" if rng.random() < 0.65 else ""
    return [Turn(as_typed(rng, expand(rng, f"{ask}{about}[.|?|!|]")), _POEMS[topic])]


def tip(rng: random.Random) -> list[Turn]:
    """A piece of gentle advice."""
    ask = (
        "[Give me|Do you have|I need|Can you give me] [some |a piece of |]advice[.|?|]|[What should I do|"
        "What shall I do][ now| today|]?|Give me a [tip|good tip].|[Motivate|Inspire|Encourage] me.|How can "
        "I [relax|be happy|be more productive|get things done]?"
    )
    return [Turn(as_typed(rng, expand(rng, f"[{ask}]")), rng.choice(_TIPS))]
