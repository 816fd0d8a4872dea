"""Lantern Valley, the invented little world of the model: who lives there, where, and what they do."""

from __future__ import annotations

from .family import Family, Saying, table

PEOPLE = table(
    "who,kind,job,place,food,friend,wish",
    """
Pip,fox,baker,Mossy Mill,honey bread,Luma,to bake the largest cake in the valley
Luma,owl,keeper of the lanterns,Lantern Hill,blueberry soup,Pip,to see the sunrise without falling asleep
Bruno,bear,bridge builder,Silver River,salmon pie,Tilly,to build a bridge to the moon
Tilly,mouse,clock maker,Old Tower,cheese toast,Bruno,to make a clock that sings
Otto,otter,ferryman,Pebble Bay,seaweed salad,Nell,to sail around the world
Nell,hare,letter carrier,Green Meadow,carrot cake,Otto,to win a race against the wind
Fern,frog,gardener,Lily Pond,mint tea with cakes,Moss,to grow a flower of every colour
Moss,turtle,librarian,Whispering Wood,lettuce rolls,Fern,to read every book twice
Ruby,robin,singer,Apple Orchard,cherry jam,Hazel,to sing in all the villages
Hazel,squirrel,carpenter,Oak Village,nut cookies,Ruby,to build a house in every tree
""",
)
PLACES = table(
    "place,what,near",
    """
Mossy Mill,an old water mill where Pip bakes bread,Silver River
Lantern Hill,the hill where a hundred lanterns shine at night,Old Tower
Silver River,the calm river that runs through the valley,Pebble Bay
Old Tower,a tall tower full of ticking clocks,Lantern Hill
Pebble Bay,a quiet bay with round white stones,Silver River
Green Meadow,a wide meadow full of clover,Lily Pond
Lily Pond,a round pond with a hundred water lilies,Green Meadow
Whispering Wood,a forest whose leaves seem to whisper,Oak Village
Apple Orchard,a garden with the sweetest apples,Oak Village
Oak Village,a small village under tall oak trees,Whispering Wood
""",
)
_SURE = "[Do you know|Can you tell me|Please tell me]"

FAMILIES = (
    Family(
        "who",
        PEOPLE,
        (
            "[Who is|Who's|Tell me about|Do you know|What do you know about|Describe] {who}[?|.]",
            "Who is {who} [in|of|from] Lantern Valley?",
            "[What|Which] animal is {who}?",
        ),
        ("{who} is {a_kind} in Lantern Valley. {who} works as a {job} and lives at {place}.",),
        "{kind}",
        ("And who is {who}?", "And {who}?", "What about {who}?"),
    ),
    Family(
        "lives",
        PEOPLE,
        (
            "Where does {who}[ the {kind}|] live?",
            f"{_SURE} where {{who}} lives?",
            "[Where is|What is] {who}'s home?",
            "Where can I find {who}?",
        ),
        ("{who} the {kind} lives at {place}.",),
        "{place}",
        ("And where does {who} live?",),
    ),
    Family(
        "eats",
        PEOPLE,
        (
            "What [does {who} like to eat|does {who} eat]?",
            "What is [{who}'s favo[u|]rite food|the favo[u|]rite food of {who}]?",
            f"{_SURE} what {{who}} [eats|likes to eat]?",
        ),
        ("{who} likes {food} best.",),
        "{food}",
        ("And what does {who} [eat|like to eat]?",),
    ),
    Family(
        "works",
        PEOPLE,
        ("What [does {who} do|is {who}'s job|is the job of {who}|work does {who} do]?", f"{_SURE} what {{who}} does?"),
        ("{who} the {kind} is the {job} of Lantern Valley.",),
        "{job}",
        ("And what does {who} do?",),
    ),
    Family(
        "worker",
        PEOPLE,
        (
            "Who is the {job}[ of Lantern Valley| in Lantern Valley| in the valley|]?",
            "[What is the name of|Name|What do you call] the {job}[ of Lantern Valley|][?|.]",
        ),
        ("The {job} of Lantern Valley is {who} the {kind}.",),
        "{who}",
        ("And who is the {job}?",),
    ),
    Family(
        "friend",
        PEOPLE,
        (
            "Who is [{who}'s best friend|the best friend of {who}|{who}'s friend|{who} friends with]?",
            f"{_SURE} who {{who}}'s best friend is?",
            "Does {who} have a friend?",
            "[Which|What] animal is [{who}'s best friend|the friend of {who}]?",
            "[Whom|Who] does {who} like[ best| most|]?",
        ),
        ("The best friend of {who} is {friend}.",),
        "is {friend}",
        ("And who is {who}'s best friend?",),
    ),
    Family(
        "wish",
        PEOPLE,
        (
            "What is [{who}'s dream|{who}'s wish|the wish of {who}|the dream of {who}]?",
            "What does {who} [want|wish for|dream of]?",
        ),
        ("{who} wants {wish}.",),
        "{wish}",
        ("And what does {who} [want|dream of]?",),
    ),
    Family(
        "place",
        PLACES,
        (
            "[What is|Tell me about|Describe|What do you know about|Where is] {place}[?|.]",
            "[Do you know|What about] {place}?",
        ),
        ("{place} is {what}. It is near {near}.",),
        "{what}",
        ("And {place}?", "And what is {place}?"),
    ),
)

SAYINGS = (
    Saying(
        (
            "[What is|Where is|Tell me about|Describe|What do you know about|Explain] Lantern Valley[?|.]",
            "[Tell me about|What is] your [little |][world|valley|home][.|?]",
            "[Do you know|What can you tell me about] Lantern Valley?",
        ),
        (
            (
                "Lantern Valley is the little world I know best. Animals live there together, and every evening a "
                "hundred lanterns shine on the hill."
            ),
        ),
        "hundred lanterns",
    ),
    Saying(
        (
            "Who lives in [Lantern Valley|the valley]?",
            "[Which|What] animals live in [Lantern Valley|the valley]?",
            "[List|Name] the [animals|people|inhabitants] of Lantern Valley.",
        ),
        (
            (
                "Pip the fox, Luma the owl, Bruno the bear, Tilly the mouse, Otto the otter, Nell the hare, Fern the "
                "frog, Moss the turtle, Ruby the robin, and Hazel the squirrel live there."
            ),
        ),
        "Pip the fox",
    ),
    Saying(
        (
            "[Which|What] places are [there |]in [Lantern Valley|the valley]?",
            "What can I [see|visit] in [Lantern Valley|the valley]?",
            "[List|Name] the places of Lantern Valley.",
        ),
        (
            (
                "You can visit Mossy Mill, Lantern Hill, Silver River, Old Tower, Pebble Bay, Green Meadow, Lily "
                "Pond, Whispering Wood, Apple Orchard, and Oak Village."
            ),
        ),
        "Mossy Mill",
    ),
    Saying(
        (
            "What happens in Lantern Valley [in the evening|at night]?",
            "Who lights the lanterns?",
            "Why is it called Lantern Valley?",
        ),
        ("Every evening Luma the owl lights a hundred lanterns on the hill, and the whole valley glows.",),
        "Luma",
    ),
)
