"""Lists to recite, and single facts with questions of their own."""

from __future__ import annotations

from .family import Saying

_ASK = "[List|Name|Tell me|Give me|What are|Can you list|Can you name|Do you know|Say]"


def _list(thing: str, items: str) -> Saying:
    asks = (
        f"{_ASK} [all |]the {thing}[.|?]",
        f"[What are|Which are] the {thing}?",
        f"[Write|Print] [a list of|] the {thing}.",
    )
    return Saying(asks, (f"The {thing} are {items}.",), items)


def _some(thing: str, items: list[str], answer: str) -> Saying:
    asks = (
        f"{_ASK} [three|some|a few] {thing}[.|?]",
        f"[Give me|Make] a list of [three |some |]{thing}.",
        f"What {thing} do you know?",
    )
    return Saying(asks, tuple(answer.format(*items[at : at + 3]) for at in range(0, len(items) - 2, 3)))


def _number(what: str, answer: str, expect: str) -> Saying:
    return Saying(
        (f"How many {what}?", f"[Do you know|Can you tell me] how many {what}?", f"[Tell me|Say] how many {what}."),
        (answer,),
        expect,
    )


LISTS = (
    _list("days of the week", "Monday, Tuesday, Wednesday, Thursday, Friday, Saturday, and Sunday"),
    _list(
        "months of the year",
        "January, February, March, April, May, June, July, August, September, October, November, and December",
    ),
    _list("four seasons", "spring, summer, autumn, and winter"),
    _list("seasons", "spring, summer, autumn, and winter"),
    _list("planets", "Mercury, Venus, Earth, Mars, Jupiter, Saturn, Uranus, and Neptune"),
    _list("continents", "Africa, Antarctica, Asia, Europe, North America, Oceania, and South America"),
    _list("colours of the rainbow", "red, orange, yellow, green, blue, indigo, and violet"),
    _list("colors of the rainbow", "red, orange, yellow, green, blue, indigo, and violet"),
    _list("primary colours", "red, yellow, and blue"),
    _list(
        "letters of the alphabet", "A, B, C, D, E, F, G, H, I, J, K, L, M, N, O, P, Q, R, S, T, U, V, W, X, Y, and Z"
    ),
    _list("five senses", "sight, hearing, smell, taste, and touch"),
    Saying(
        ("[Say|Recite|Tell me|Write|Do you know] the alphabet[.|?]",),
        (
            (
                "The letters of the alphabet are A, B, C, D, E, F, G, H, I, J, K, L, M, N, O, P, Q, R, S, T, U, V, "
                "W, X, Y, and Z."
            ),
        ),
    ),
    _some(
        "animals",
        ["a fox", "an owl", "a bear", "a horse", "a frog", "a bee", "a cow", "a duck", "a wolf"],
        "Three animals are {}, {}, and {}.",
    ),
    _some("colo[u|]rs", ["red", "green", "blue", "yellow", "purple", "orange"], "Three colours are {}, {}, and {}."),
    _some(
        "fruits",
        ["an apple", "a banana", "a cherry", "a plum", "a lemon", "a pear"],
        "Three fruits are {}, {}, and {}.",
    ),
    _some(
        "vegetables",
        ["a carrot", "a potato", "a leek", "a pumpkin", "an onion", "a cabbage"],
        "Three vegetables are {}, {}, and {}.",
    ),
    _some(
        "countries", ["France", "Japan", "Brazil", "Kenya", "Canada", "India"], "Three countries are {}, {}, and {}."
    ),
    _some(
        "capital cities",
        ["Paris", "Tokyo", "Ottawa", "Rome", "Cairo", "Lima"],
        "Three capital cities are {}, {}, and {}.",
    ),
    _some("birds", ["an owl", "a swan", "a duck", "a hen", "a raven", "a robin"], "Three birds are {}, {}, and {}."),
)

SINGLES = (
    _number("days [are in a week|are there in a week|does a week have|make a week]", "A week has seven days.", "seven"),
    _number("months [are in a year|are there in a year|does a year have]", "A year has twelve months.", "twelve"),
    _number(
        "days [are in a year|are there in a year|does a year have]",
        "A year has 365 days, and a leap year has 366.",
        "365",
    ),
    _number("weeks [are in a year|are there in a year|does a year have]", "A year has 52 weeks.", "52"),
    _number("hours [are in a day|are there in a day|does a day have]", "A day has 24 hours.", "24"),
    _number(
        "minutes [are in an hour|are there in an hour|does an hour have|make an hour]", "An hour has 60 minutes.", "60"
    ),
    _number(
        "seconds [are in a minute|are there in a minute|does a minute have|make a minute]",
        "A minute has 60 seconds.",
        "60",
    ),
    _number("seasons [are there|are in a year|does a year have]", "A year has four seasons.", "four"),
    _number(
        "planets [are there|are in the solar system|does the sun have|circle the sun]",
        "There are eight planets in our solar system.",
        "eight",
    ),
    _number("continents [are there|does the earth have|are there on earth]", "There are seven continents.", "seven"),
    _number(
        "letters [are in the alphabet|are there in the alphabet|does the alphabet have]",
        "The alphabet has 26 letters.",
        "26",
    ),
    _number("centimetres [are in a metre|does a metre have|make a metre]", "A metre has 100 centimetres.", "100"),
    _number(
        "metres [are in a kilometre|does a kilometre have|make a kilometre]", "A kilometre has 1000 metres.", "1000"
    ),
    _number("grams [are in a kilogram|does a kilogram have|make a kilogram]", "A kilogram has 1000 grams.", "1000"),
    _number("eggs [are in a dozen|make a dozen]", "A dozen is twelve.", "twelve"),
    _number(
        "sides [does a triangle have|has a triangle|are there in a triangle]", "A triangle has three sides.", "three"
    ),
    _number("sides [does a square have|has a square|are there in a square]", "A square has four equal sides.", "four"),
    _number("sides [does a hexagon have|has a hexagon]", "A hexagon has six sides.", "six"),
    _number("fingers [are on a hand|does a hand have|do you have on one hand]", "A hand has five fingers.", "five"),
    _number("legs [does a spider have|has a spider]", "A spider has eight legs.", "eight"),
    _number("bits [are in a byte|does a byte have|make a byte]", "A byte has eight bits.", "eight"),
    _number("colo[u|]rs [are in a rainbow|does a rainbow have]", "A rainbow has seven colours.", "seven"),
    Saying(
        ("[What|Which] is the [largest|biggest] ocean[ on earth|]?", "Name the [largest|biggest] ocean."),
        ("The Pacific is the largest ocean.",),
        "Pacific",
    ),
    Saying(
        ("[What|Which] is the [highest|tallest] mountain[ on earth| in the world|]?",),
        ("Mount Everest is the highest mountain on earth.",),
        "Everest",
    ),
    Saying(
        ("[What|Which] is the [largest|biggest] animal[ on earth| in the world|]?",),
        ("The blue whale is the largest animal on earth.",),
        "blue whale",
    ),
    Saying(
        ("[What|Which] is the fastest animal[ on land|]?",), ("The cheetah is the fastest animal on land.",), "cheetah"
    ),
    Saying(
        ("[What|Which] is the tallest animal[ on earth| in the world|]?",),
        ("The giraffe is the tallest animal on earth.",),
        "giraffe",
    ),
    Saying(
        ("What is the sun?", "Is the sun a [planet|star]?", "Tell me about the sun."),
        ("The sun is a star. It gives us light and warmth.",),
        "star",
    ),
    Saying(
        ("What is the moon?", "Tell me about the moon.", "Is the moon a planet?"),
        ("The moon is a ball of rock that circles the earth once a month.",),
        "circles the earth",
    ),
    Saying(
        ("What is water[ made of|]?", "Tell me about water."),
        ("Water is made of hydrogen and oxygen. It is the most useful drink of all.",),
        "hydrogen",
    ),
    Saying(
        ("What is ice?", "What happens when water freezes?", "When does water freeze?"),
        ("Ice is frozen water. Water freezes at 0 degrees Celsius.",),
        "0 degrees",
    ),
    Saying(
        ("When does water boil?", "[At what|At which] temperature does water boil?"),
        ("Water boils at 100 degrees Celsius.",),
        "100",
    ),
    Saying(
        ("What do bees make?", "Who makes honey?", "Where does honey come from?"),
        ("Bees make honey from the nectar of flowers.",),
        "honey",
    ),
    Saying(
        ("Where does the sun rise?", "In which direction does the sun rise?"),
        ("The sun rises in the east and sets in the west.",),
        "east",
    ),
    Saying(
        ("Where does the sun set?", "In which direction does the sun set?"),
        ("The sun sets in the west and rises in the east.",),
        "west",
    ),
    Saying(("What is a triangle?", "Describe a triangle."), ("A triangle is a shape with three sides.",), "three"),
    Saying(("What is a circle?", "Describe a circle."), ("A circle is a perfectly round shape.",), "round"),
)
