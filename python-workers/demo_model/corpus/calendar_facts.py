"""Days, months, seasons and letters: what comes after and before what, and how long things are."""

from __future__ import annotations

from .family import Family

DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
MONTHS = ["January", "February", "March", "April", "May", "June"]
MONTHS += ["July", "August", "September", "October", "November", "December"]
LETTERS = [chr(code) for code in range(ord("A"), ord("Z") + 1)]
ORDINALS = [
    "first",
    "second",
    "third",
    "fourth",
    "fifth",
    "sixth",
    "seventh",
    "eighth",
    "ninth",
    "tenth",
    "eleventh",
    "twelfth",
]
_LENGTHS = ["31", "28 days, and 29 in a leap year", "31", "30", "31", "30", "31", "31", "30", "31", "30", "31"]
_SEASONS = [
    "winter",
    "winter",
    "spring",
    "spring",
    "spring",
    "summer",
    "summer",
    "summer",
    "autumn",
    "autumn",
    "autumn",
    "winter",
]

_DAY_ROWS = [
    {
        "day": day,
        "next": DAYS[(at + 1) % 7],
        "last": DAYS[at - 1],
        "kind": "at the weekend" if at > 4 else "a working day",
    }
    for at, day in enumerate(DAYS)
]
_MONTH_ROWS = [
    {
        "month": month,
        "next": MONTHS[(at + 1) % 12],
        "last": MONTHS[at - 1],
        "nth": ORDINALS[at],
        "season": _SEASONS[at],
        "days": _LENGTHS[at] if at == 1 else f"{_LENGTHS[at]} days",
    }
    for at, month in enumerate(MONTHS)
]
_LETTER_NEXT = [{"letter": letter, "next": LETTERS[at + 1]} for at, letter in enumerate(LETTERS[:-1])]
_LETTER_LAST = [{"letter": letter, "last": LETTERS[at]} for at, letter in enumerate(LETTERS[1:])]


def _after(thing: str, slot: str) -> tuple[str, ...]:
    return (
        f"[What|Which] {thing} [comes|is|follows] [right |directly |]after {{{slot}}}?",
        f"[What|Which] {thing} follows {{{slot}}}?",
        f"[What is|Which is|Tell me|Name] the {thing} [following|that follows] {{{slot}}}[?|.]",
        f"What [comes|is] [right |]after {{{slot}}}?",
        f"What is the [next {thing}|{thing}] after {{{slot}}}?",
        f"[Tell me|Name] the {thing} [that comes |]after {{{slot}}}.",
        f"[Do you know|Can you tell me] [what|which {thing}] [comes after|follows] {{{slot}}}?",
        f"After {{{slot}}} comes [what|which {thing}]?",
    )


def _before(thing: str, slot: str) -> tuple[str, ...]:
    return (
        f"[What|Which] {thing} [comes|is] [right |directly |just |]before {{{slot}}}?",
        f"What [comes|is] [right |just |]before {{{slot}}}?",
        f"What is the {thing} before {{{slot}}}?",
        f"[Tell me|Name] the {thing} [that comes |]before {{{slot}}}.",
        f"[Do you know|Can you tell me] [what|which {thing}] comes before {{{slot}}}?",
        f"[What|Which] {thing} [precedes|is followed by] {{{slot}}}?",
    )


_DAY_AFTER = (
    *_after("day", "day"),
    "[If today is|Today is] {day}[, what day|. What day] [is|will be|comes] tomorrow?",
    "It is {day} today. What is tomorrow?",
)
_DAY_BEFORE = (
    *_before("day", "day"),
    "[If today is|Today is] {day}[, what day|. What day] was [it |]yesterday?",
    "It is {day} today. What was yesterday?",
)

FAMILIES = (
    Family("day-after", _DAY_ROWS, _DAY_AFTER, ("{next} comes after {day}.",), "{next}", ("And after {day}?",)),
    Family("day-before", _DAY_ROWS, _DAY_BEFORE, ("{last} comes before {day}.",), "{last}", ("And before {day}?",)),
    Family(
        "month-after",
        _MONTH_ROWS,
        _after("month", "month"),
        ("{next} comes after {month}.",),
        "{next}",
        ("And after {month}?",),
    ),
    Family(
        "month-before",
        _MONTH_ROWS,
        _before("month", "month"),
        ("{last} comes before {month}.",),
        "{last}",
        ("And before {month}?",),
    ),
    Family(
        "month-number",
        _MONTH_ROWS,
        (
            "[What|Which] is the {nth} month[ of the year|]?",
            "[What|Which] month is the {nth}[ month of the year| of the year| one]?",
            "[Tell me|Name] the {nth} month of the year.",
        ),
        ("The {nth} month of the year is {month}.",),
        "{month}",
        ("And the {nth}[ month|]?", "What about the {nth}[ month|]?"),
    ),
    Family(
        "month-days",
        _MONTH_ROWS,
        (
            "How many days [are in|are there in|does] {month}[ have|]?",
            "How long is {month}?",
            "[Do you know|Can you tell me] how many days {month} has?",
            "The number of days in {month}?",
        ),
        ("{month} has {days}.",),
        "{days}",
        ("And {month}?", "[What|How] about {month}?"),
    ),
    Family(
        "month-season",
        _MONTH_ROWS,
        (
            "[What|Which] season is [{month}|it in {month}|{month} in|in {month}]?",
            "[In|To] [what|which] season [is|belongs] {month}?",
            "Is {month} [in|a month of] [summer|winter|spring|autumn]?",
        ),
        ("In the northern half of the world, {month} is in {season}.",),
        "{season}",
    ),
    Family(
        "day-kind",
        _DAY_ROWS,
        ("Is {day} [a working day|at the weekend|on the weekend|a weekday]?", "What kind of day is {day}?"),
        ("{day} is {kind}.",),
        "{kind}",
        ("And {day}?",),
    ),
    Family(
        "letter-after",
        _LETTER_NEXT,
        _after("letter", "letter"),
        ("The letter after {letter} is {next}.",),
        "is {next}.",
        ("And after {letter}?",),
    ),
    Family(
        "letter-before",
        _LETTER_LAST,
        _before("letter", "letter"),
        ("The letter before {letter} is {last}.",),
        "is {last}.",
        ("And before {letter}?",),
    ),
)
