"""Countries: capital, continent, and questions in both directions."""

from __future__ import annotations

import random

from .family import Family, Turn, table
from .phrasing import as_typed, fill

COUNTRIES = table(
    "country,capital,continent",
    """
France,Paris,Europe
Germany,Berlin,Europe
Italy,Rome,Europe
Spain,Madrid,Europe
Portugal,Lisbon,Europe
Austria,Vienna,Europe
Switzerland,Bern,Europe
Belgium,Brussels,Europe
the Netherlands,Amsterdam,Europe
Denmark,Copenhagen,Europe
Sweden,Stockholm,Europe
Norway,Oslo,Europe
Finland,Helsinki,Europe
Iceland,Reykjavik,Europe
Ireland,Dublin,Europe
the United Kingdom,London,Europe
Poland,Warsaw,Europe
Hungary,Budapest,Europe
Romania,Bucharest,Europe
Bulgaria,Sofia,Europe
Greece,Athens,Europe
Croatia,Zagreb,Europe
Serbia,Belgrade,Europe
Ukraine,Kyiv,Europe
Estonia,Tallinn,Europe
Latvia,Riga,Europe
Lithuania,Vilnius,Europe
Russia,Moscow,Europe and Asia
Turkey,Ankara,Europe and Asia
China,Beijing,Asia
Japan,Tokyo,Asia
South Korea,Seoul,Asia
India,New Delhi,Asia
Pakistan,Islamabad,Asia
Nepal,Kathmandu,Asia
Thailand,Bangkok,Asia
Vietnam,Hanoi,Asia
Indonesia,Jakarta,Asia
the Philippines,Manila,Asia
Mongolia,Ulaanbaatar,Asia
Iran,Tehran,Asia
Iraq,Baghdad,Asia
Saudi Arabia,Riyadh,Asia
Egypt,Cairo,Africa
Morocco,Rabat,Africa
Kenya,Nairobi,Africa
Ethiopia,Addis Ababa,Africa
Nigeria,Abuja,Africa
Ghana,Accra,Africa
Senegal,Dakar,Africa
Australia,Canberra,Oceania
New Zealand,Wellington,Oceania
the United States,Washington D.C.,North America
Canada,Ottawa,North America
Mexico,Mexico City,North America
Cuba,Havana,North America
Brazil,Brasilia,South America
Argentina,Buenos Aires,South America
Chile,Santiago,South America
Peru,Lima,South America
Colombia,Bogota,South America
""",
)

CAPITAL = Family(
    name="capital",
    rows=COUNTRIES,
    questions=(
        "[What is|What's|Which city is] the capital [of|city of] {country}?",
        "[Tell me|Name|Give me] the capital [city |]of {country}.",
        (
            "[Do you know|Can you tell me|Could you tell me|Please tell me|I want to know] the capital [city |"
            "]of {country}?"
        ),
        (
            "[Do you know|Can you tell me|Can you say] [what|which city] [the capital of {country} is|is the "
            "capital of {country}]?"
        ),
        "{Country}'s capital[ is|?| city?]",
        "Capital of {country}?",
        "What is {country}'s capital[ city|]?",
        "[What|Which] city is {country}'s capital?",
        "What is the [name of the capital|capital city called] [of|in] {country}?",
        "I forgot the capital of {country}. What is it?",
        "Where is the government of {country}?",
    ),
    follows=(
        "And {country}?",
        "[And of|And for|What about|How about|And what about] {country}?",
        "And the capital of {country}?",
    ),
    answers=("The capital of {country} is {capital}.",),
    statements=(
        "The capital of {country} is {capital}.",
        "{Capital} is the capital of {country}.",
        "{Country} is in {continent}. Its capital is {capital}.",
    ),
    expect="{capital}",
)

CAPITAL_OF = Family(
    name="capital-of",
    rows=COUNTRIES,
    questions=(
        "[Which|What] country has [the capital|its capital in|as its capital] {capital}?",
        "{Capital} is the capital of [which|what] country?",
        "[Of which|Of what] country is {capital} the capital?",
        "What is {capital} the capital of?",
        "{Capital} is [a city|the capital][.|,] [In|in|Of|of] which country?",
        "[To which country|Which country] does {capital} belong[ to|]?",
        "[Where is|In which country is|In what country is|Which country is|What country is] {capital}[ in|]?",
        "[Do you know|Can you tell me] [where {capital} is|which country {capital} is in]?",
        "[What is|Tell me about|What do you know about] {capital}?",
    ),
    follows=("And {capital}?", "[What about|How about] {capital}?", "And where is {capital}?"),
    answers=("{Capital} is the capital of {country}.",),
    expect="{country}",
)

CONTINENT = Family(
    name="continent",
    rows=COUNTRIES,
    questions=(
        "[On|In] [which|what] continent is {country}?",
        "[Which|What] continent is {country} [in|on|part of]?",
        "[Where is|Where can I find|Where in the world is|Where do I find] {country}?",
        "[What is|Tell me about|What do you know about|Tell me something about] {country}?",
        "[Do you know|Can you tell me] where {country} is?",
        "[Which|What] part of the world is {country} in?",
        "{Country} [is|lies] [in|on] [what|which] [part of the world|continent]?",
    ),
    follows=("And where is {country}?", "And [on which|what|which] continent is {country}?"),
    answers=("{Country} is in {continent}. Its capital is {capital}.",),
    expect="{continent}",
)


def yes_or_no(rng: random.Random) -> list[Turn]:
    """``Is Rome the capital of Italy?``, half of the time about the wrong country."""
    row = dict(rng.choice(COUNTRIES))
    right = rng.random() < 0.5
    row["guess"] = row["capital"] if right else rng.choice(COUNTRIES)["capital"]
    question = (
        "[Is {guess} the capital of {country}?|{Guess} is the capital of {country}, [right|isn't it|"
        "correct]?|Is it true that {guess} is the capital of {country}?|Is the capital of {country} {guess}?]"
    )
    answer = (
        "Yes, {guess} is the capital of {country}."
        if row["guess"] == row["capital"]
        else "No, the capital of {country} is {capital}."
    )
    return [Turn(as_typed(rng, fill(rng, question, row)), fill(rng, answer, row))]
