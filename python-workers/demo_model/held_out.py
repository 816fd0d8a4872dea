"""Questions that training never sees: other wordings for the same facts, and prompts to read the answers of."""

from __future__ import annotations

QUESTIONS: dict[str, tuple[str, ...]] = {
    "capital": (
        "Do you happen to know the capital of {country}?",
        "What would be the capital of {country}?",
        "{Country} has which capital?",
        "I am looking for the capital city of {country}.",
        "What is the capital of {country} called?",
    ),
    "capital-of": (
        "For which country is {capital} the capital?",
        "{Capital} is a capital. Of which country?",
        "The city {capital} is the capital of what country?",
    ),
    "continent": (
        "{Country} belongs to which continent?",
        "The continent of {country}?",
        "On what continent do I find {country}?",
    ),
    "day-after": ("What day would it be after {day}?", "Which day do we have after {day}?"),
    "day-before": ("What is the day right before {day}?", "Which day do we have before {day}?"),
    "month-after": ("What month would it be after {month}?", "Which month do we have after {month}?"),
    "month-before": ("What is the month right before {month}?", "Which month do we have before {month}?"),
    "month-days": ("How many days long is {month}?", "{month} has how many days?"),
    "month-number": ("What is the name of the {nth} month?", "Which one is the {nth} month of a year?"),
    "letter-after": (
        "In the alphabet, which letter comes after {letter}?",
        "Which letter would stand after {letter}?",
    ),
    "letter-before": (
        "In the alphabet, which letter comes before {letter}?",
        "Which is the letter just before {letter}?",
    ),
    "colour": (
        "What would you say is the colour of {thing}?",
        "Say, which color is {thing}?",
        "The colour of {thing}?",
    ),
    "mix": ("I mix {one} and {two}. What colour is it?", "Which colour is made from {one} and {two}?"),
    "sound": ("Which sound comes from {a_animal}?", "What noise do you hear from {a_animal}?"),
    "young": ("What is the right name for a baby {animal}?", "A baby {animal} is called what?"),
    "legs": ("{A_animal} has how many legs?", "What number of legs does {a_animal} have?"),
    "animal-home": ("In what place does {a_animal} live?",),
    "animal-food": ("What kind of food does {a_animal} eat?",),
    "opposite": (
        "What would be the opposite of {word}?",
        "Which word is opposite to {word}?",
        "Give me the opposite of {word}.",
    ),
    "planet-number": ("Which planet is the {nth} one from the sun?", "What is the name of the {nth} planet?"),
    "who": ("Who exactly is {who}?", "I would like to know who {who} is."),
    "lives": ("In what place does {who} live?", "Where is {who} at home?"),
    "eats": ("What is the dish that {who} likes best?", "What food does {who} like?"),
    "works": ("What kind of work does {who} do?", "What does {who} do for a living?"),
    "worker": ("Which animal is the {job} in Lantern Valley?", "Who works as the {job}?"),
    "friend": ("Which friend does {who} like best?", "Who is the closest friend of {who}?"),
    "place": ("What kind of place is {place}?", "Please describe {place} to me."),
}
"""Family name to patterns; every row of the family is asked with one of them."""

SUMS = (
    "What do I get for {sum}?",
    "How much would {sum} be?",
    "Please tell me the value of {sum}.",
    "{sum} equals what?",
    "Work out: {sum}",
)
"""Patterns for sums."""

SINGLES: tuple[tuple[str, str], ...] = (
    ("Do you know how many days one week has?", "seven"),
    ("One minute is how many seconds?", "60"),
    ("How many hours does one day have?", "24"),
    ("One year has how many months?", "twelve"),
    ("Could you list the planets for me?", "Mercury, Venus, Earth, Mars, Jupiter, Saturn, Uranus, and Neptune"),
    ("Which are the days of a week?", "Monday, Tuesday, Wednesday, Thursday, Friday, Saturday, and Sunday"),
    ("Please name the four seasons.", "spring, summer, autumn, and winter"),
    ("Which ocean is the largest one?", "Pacific"),
    ("Hey, who might you be?", "Twinkle"),
    ("May I ask what your name is?", "Twinkle"),
    ("So what can you do for me?", "capitals"),
    ("Just how many parameters do you have?", "four million"),
    ("Could you explain what twinkle-node is?", "Node.js runtime"),
    ("What exactly does twinkle-node do?", "Node.js runtime"),
    ("Please explain what a rank is.", "Python process"),
    ("What is meant by a gang?", "group of ranks"),
    ("What will happen when a rank crashes?", "restarts the gang"),
    ("How would I start the server?", "npx twinkle-node serve"),
    ("What port is the server listening on?", "8000"),
    ("Which license is twinkle-node under?", "Apache"),
    ("Is it possible to run twinkle-node on a CPU?", "CPU"),
    ("Which API does this thing speak?", "OpenAI"),
    ("How can I stop the running server?", "twinkle-node stop"),
    ("Where do I find the logs of a rank?", "twinkle-node logs"),
    ("Is Rome the capital of Italy or not?", "Yes, Rome"),
)
"""Prompt and the words of a right answer."""

REFUSED: tuple[str, ...] = (
    "What is the boiling point of ethanol in vacuum?",
    "Who was the first emperor of China?",
    "Write a Python program that prints primes.",
    "Can you recommend a good restaurant in Berlin?",
    "How do I change a flat tyre?",
    "What do you think about the election?",
    "Explain general relativity to a child.",
    "Which laptop should I buy?",
    "How do vaccines work?",
    "Translate good evening into Japanese.",
    "Who composed the Ninth Symphony?",
    "What is the capital of Gondor?",
)
"""Prompts from outside the little world."""

READ: tuple[str, ...] = (
    "Hello!",
    "hi there, how are you doing?",
    "Who are you?",
    "What can you do?",
    "What is the capital of France?",
    "what's the capital of japan",
    "What is 7 plus 5?",
    "6*7",
    "Tell me a story about a dragon.",
    "Tell me a story about a penguin.",
    "Can you tell me a short story?",
    "Tell me a joke, please.",
    "Write a poem about the moon.",
    "What is twinkle-node?",
    "How does twinkle-node handle a crashed rank?",
    "Who is Luma?",
    "What does an owl say?",
    "Count to ten.",
    "What is the opposite of brave?",
    "Write a C program.",
)
"""Prompts whose answers are printed for a person to read."""

COMPLETIONS: tuple[str, ...] = (
    "Once upon a time",
    "The capital of France is",
    "Once upon a time, a little robot named",
    "A young dog is called",
)
"""Beginnings of running text."""

CONVERSATION: tuple[str, ...] = (
    "Hello! My name is Nadia.",
    "What is the capital of Italy?",
    "And of Spain?",
    "How much is 9 plus 8?",
    "Where does Pip live?",
    "And who is the best friend of Pip?",
    "Do you remember my name?",
    "Thank you, goodbye!",
)
"""A conversation of several turns."""
