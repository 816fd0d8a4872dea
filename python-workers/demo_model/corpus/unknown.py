"""Questions outside the little world, and the polite answer: a small model that says what it does not know."""

from __future__ import annotations

import random

from .family import Turn
from .names import random_name
from .phrasing import as_typed, expand, with_article, words
from .small_talk import OFFER

_ANSWERS = (
    f"I am sorry, I do not know that. I am a tiny demo model. {OFFER}",
    f"That is outside my little world, because I have only about four million parameters. {OFFER}",
)


_TOPICS = words("""
quantum physics|gravity|democracy|the stock market|inflation|chess|football|basketball|tennis|philosophy
evolution|photosynthesis|black holes|relativity|economics|politics|history|the Roman Empire
the French Revolution|the Second World War|the Cold War|opera|jazz|rock music|Beethoven|Mozart|Shakespeare
Einstein|Newton|Napoleon|Caesar|Cleopatra|Picasso|Darwin|Gandhi|Lincoln|Kubernetes|Docker|Linux|Windows
blockchain|bitcoin|machine learning|neural networks|deep learning|transformers|backpropagation|PyTorch|CUDA
React|Rust|Java|SQL|databases|HTML|JSON|algorithms|recursion|compilers|cooking|baking pizza|sushi|yoga
meditation|fishing|gardening|photography|knitting|marathons|vitamins|cancer|diabetes|headaches|vaccines
antibiotics|taxes|insurance|mortgages|visas|law|contracts|divorce|marketing|management|startups|climate change
solar power|nuclear energy|electric cars|airplanes|rockets|satellites|robots|drones|dinosaurs|volcanoes
earthquakes|hurricanes|tides|DNA|cells|proteins|enzymes|atoms|molecules|electrons|magnets|lasers|mathematics
calculus|algebra|geometry|statistics|probability|prime numbers|fractions|grammar|Latin|poetry theory|linguistics
psychology|sociology|religion|Buddhism|mythology|Zeus|Hamlet|Star Wars|Harry Potter|Batman|Netflix|YouTube
Google|Microsoft|Apple|Tesla|Amazon|Facebook|Twitter|the internet|Wi-Fi|Bluetooth|smartphones|printers|keyboards
refrigerators|plumbing|carpentry for beginners|bicycles|engines|fashion|perfume|diamonds|gold prices
the Olympics|the World Cup|golf|boxing|surfing|poker|video games|Minecraft|anime|movies|theatre|ballet
""")
_ASK_TOPIC = (
    (
        "[What is|What are|Explain|Tell me about|Describe|Define|Summarize|What do you know about|Teach me|"
        "Give me a summary of|Write about|Write an essay about|Can you explain|Tell me the history of|How "
        "does one learn|What do you think about|Give me facts about] {topic}[?|.|]"
    ),
    "[How do|Why do|When did|How does] {topic} [work|matter|begin|end|function|come about]?",
    (
        "[Who invented|Who discovered|Who started|Why is there|What is the future of|How important is|What "
        "are the dangers of|What is the difference between physics and] {topic}?"
    ),
    "[I have a question about|I need help with|I want to learn about|Let us talk about|I am interested in] {topic}[.|]",
)
_NOUNS = words("""
car|bike|phone|laptop|printer|washing machine|garden|kitchen|roof|sink|guitar|piano|website|business|budget
resume|cover letter|thesis|speech|wedding|party|holiday|trip|recipe|diet|workout|password|router|server|database
spreadsheet|presentation|contract|letter|email|camera|boat|tent|sofa|mattress|computer|monitor|battery|heater
lawn|fence|door|window|lamp|engine|tyre|helmet|jacket|suitcase|passport|ticket
""")
_ASK_NOUN = (
    (
        "[How do I|How can I|How should I|Help me to|Can you help me|I want to] [fix|repair|build|buy|sell|"
        "clean|choose|improve|plan|install|replace|design|paint|test] [my|a|a new|the] {noun}?"
    ),
    "[What is the best|Which is the best|Recommend a|How much is a|Where can I buy a|What is the price of a] {noun}?",
    "[Why does|Why is] my {noun} [not work|so slow|so noisy|broken|making noise|so expensive]?",
    "[Write|Draft|Translate|Correct|Review] my {noun}[.|]",
)
_PEOPLE = (
    "the president of {place}",
    "the king of {place}",
    "the prime minister of {place}",
    "the mayor of {place}",
    "the queen of {place}",
    "the richest person in {place}",
)
_PLACES = words(
    "France|Germany|Japan|the world|America|England|Spain|China|India|Italy|Brazil|Paris|London|Russia|"
    "Canada|Egypt|Mexico"
)
_ASK_PLACE = (
    "Who is {person}?",
    (
        "Who [won|lost|played in|hosted] the [World Cup|election|war|final|championship|race|Olympics|Super "
        "Bowl] in {year}?"
    ),
    "What happened in {year}?",
    "[What is|What was|How large is] the population of {place}?",
    "[How far is it|How long does it take|How do I get|How much is a flight] from {place} to {other}?",
    "What [language do they speak|money do they use|food do they eat|time is it] in {place}?",
    "[Find|Book|Recommend] [me |][a hotel|a flight|a restaurant|a museum] in {place}.",
    "When was [the war in {place}|{place}] [over|founded|discovered]?",
)
_CODE = (
    (
        "[Write|Write me|Show me|Give me|Can you write|Implement] [a|some] [Python|JavaScript|C++|Java|Rust|"
        "SQL|bash|HTML] [code|function|script|program|query|class][ that sorts a list| to reverse a string| "
        "for a web server| for fizz buzz| that reads a file|][.|?|]"
    ),
    (
        "[How do I|How can I] [sort a list|reverse a string|read a file|parse JSON|make a loop|use git|exit "
        "vim|deploy an app|center a div] in [Python|JavaScript|C++|Java|Rust|bash|CSS]?"
    ),
    "[Fix|Debug|Explain|Refactor] this [code|function|bug|error|program][.|: x = 1|]",
    "[Solve|Simplify|Differentiate|Integrate] [x^2 + 3x = 0|the equation|2x + 5 = 9|sin(x)|this integral][.|]",
    "[What is the|Calculate the] [square root|logarithm|cube|factorial] of {number}?",
    (
        "[Translate|Say] [this|hello|good morning|I love you|the cat is black] [in|into|to] [French|German|"
        "Spanish|Chinese|Japanese|Italian][.|?|]"
    ),
    (
        "[Play|Sing|Draw|Show me|Order|Buy|Send|Open|Search for|Call|Book|Remind me of] [a song|some music|a "
        "picture|a pizza|an email|a taxi|my mother|the news|a table|a video|a website][.|]"
    ),
    (
        "[What is|What are|Tell me] the [latest news|news today|stock price|football results|lottery numbers|"
        "best movie|best book|exchange rate][?|.]"
    ),
    (
        "[Why is the sky blue|Why do cats purr|Why do we dream|How do birds fly|How do planes fly|What is "
        "time|Is there a god|What is love|How old is the earth|How deep is the ocean|How fast is light|Who "
        "wrote Hamlet|Who painted the Mona Lisa|Who discovered America|What is DNA|Do aliens exist|How tall "
        "is Mount Everest|Who was the first man on the moon|Which team is the best|What is consciousness|"
        "Should I invest in gold|How do I lose weight|How do I become rich|Can you keep a secret|What is the "
        "speed of sound|How many people live on earth|How far is the moon][?|]"
    ),
    (
        "[What is the opposite of|What is the capital of|What colour is|What sound does] [blorp|Atlantis|"
        "Narnia|a unicorn|Mordor|my house|justice|a blimp|Mars City|{name}ia|{name}land][?|]"
    ),
    "Who is {name}[?|]",
    "[Where does|What does] {name} [live|eat|do|want]?",
    "[What is|What's|Explain|Define] [a|an|the|] {odd}[?|.]",
)
_SOUNDS_A = words("bl cr dr fl gl kr pl qu sn str tw v z sk pr br")
_SOUNDS_B = words("a e i o u oo ee ar or im un ax")
_SOUNDS_C = words("b ck d ft g lm mp nk p rt sh t x zzle ster bit dle gon form")


def _odd_word(rng: random.Random) -> str:
    word = rng.choice(_SOUNDS_A) + rng.choice(_SOUNDS_B) + rng.choice(_SOUNDS_C)
    return word + (rng.choice(_SOUNDS_B) + rng.choice(_SOUNDS_C) if rng.random() < 0.5 else "")


def question(rng: random.Random) -> str:
    """A question that the model has no answer to."""
    place, other = rng.sample(_PLACES, 2)
    pattern = expand(rng, rng.choice(rng.choice((_ASK_TOPIC, _ASK_TOPIC, _ASK_NOUN, _ASK_PLACE, _CODE, _CODE))))
    return pattern.format(
        topic=rng.choice(_TOPICS),
        noun=rng.choice(_NOUNS),
        a_noun=with_article(rng.choice(_NOUNS)),
        person=rng.choice(_PEOPLE).format(place=place),
        place=place,
        other=other,
        year=rng.randint(1200, 2030),
        number=rng.randint(2, 999),
        name=random_name(rng),
        odd=_odd_word(rng),
    )


def ask(rng: random.Random) -> list[Turn]:
    """A question from outside and a polite no."""
    return [Turn(as_typed(rng, question(rng)), rng.choice(_ANSWERS))]


def mumble(rng: random.Random) -> list[Turn]:
    """Input that is no question at all."""
    words = [_odd_word(rng) for _ in range(rng.randint(1, 4))]
    text = rng.choice(
        (" ".join(words), "".join(words), "?" * rng.randint(1, 3), str(rng.randint(1, 99999)), "." * rng.randint(1, 3))
    )
    return [Turn(text, f"I did not understand that. {OFFER}")]
