"""Colours, animals, opposites and planets: small tables of everyday knowledge."""

from __future__ import annotations

from .family import Family, table

_COLOURS = table(
    "thing,colour",
    """
the sky,blue
the sea,blue
grass,green
a leaf,green
a frog,green
a cucumber,green
a banana,yellow
a lemon,yellow
the sun,yellow
a canary,yellow
a tomato,red
a strawberry,red
a cherry,red
blood,red
a fire engine,red
snow,white
milk,white
a swan,white
a polar bear,white
coal,black
a raven,black
the night,black
an orange,orange
a carrot,orange
a pumpkin,orange
a flamingo,pink
a pig,pink
chocolate,brown
coffee,brown
an elephant,grey
a mouse,grey
a plum,purple
a rainbow,red and orange and yellow and green and blue and violet
a zebra,black and white
a panda,black and white
""",
)
_MIXES = table(
    "one,two,mix",
    "blue,yellow,green\nred,yellow,orange\nred,blue,purple\nred,white,pink\nblack,white,grey\nred,green,brown",
)
ANIMALS = table(
    "animal,sound,young,legs,home,food",
    """
dog,barks,puppy,four,in a kennel or with people,meat and bones
cat,meows,kitten,four,in a warm house,fish and mice
cow,moos,calf,four,on a farm,grass
horse,neighs,foal,four,in a stable,hay and oats
sheep,bleats,lamb,four,on a meadow,grass
pig,grunts,piglet,four,in a sty on a farm,nearly everything
duck,quacks,duckling,two,at a pond,water plants and snails
hen,clucks,chick,two,in a hen house,grains and worms
lion,roars,cub,four,on the plains of Africa,meat
wolf,howls,pup,four,in the forest,meat
bear,growls,cub,four,in the forest,berries and fish and honey
frog,croaks,tadpole,four,at a pond,flies
owl,hoots,owlet,two,in a hollow tree,mice
bee,buzzes,larva,six,in a hive,nectar
snake,hisses,hatchling,no,under warm stones,mice and eggs
mouse,squeaks,pup,four,in a small hole,seeds and cheese
elephant,trumpets,calf,four,on the plains of Africa and in Asia,leaves and grass
goat,bleats,kid,four,in the mountains,grass and leaves
""",
)
_OPPOSITES = table(
    "word,opposite",
    """
hot,cold
big,small
tall,short
fast,slow
happy,sad
good,bad
light,dark
old,young
new,old
hard,soft
wet,dry
loud,quiet
early,late
full,empty
heavy,light
open,closed
up,down
left,right
in,out
on,off
day,night
yes,no
high,low
near,far
rich,poor
strong,weak
clean,dirty
easy,difficult
first,last
long,short
wide,narrow
thick,thin
sweet,sour
warm,cool
always,never
begin,end
win,lose
push,pull
buy,sell
remember,forget
true,false
black,white
summer,winter
friend,enemy
love,hate
deep,shallow
brave,afraid
noisy,quiet
""",
)
_PLANETS = table(
    "planet,nth,fact",
    """
Mercury,first,the smallest planet
Venus,second,the hottest planet
Earth,third,the planet we live on
Mars,fourth,called the red planet
Jupiter,fifth,the largest planet
Saturn,sixth,famous for its rings
Uranus,seventh,an icy planet that lies on its side
Neptune,eighth,the farthest planet from the sun
""",
)

FAMILIES = (
    Family(
        "colour",
        _COLOURS,
        (
            "[What|Which] colo[u|]r is {thing}?",
            "[What is|What's|Tell me|Name] the colo[u|]r of {thing}?",
            "[Do you know|Can you tell me] [what|which] colo[u|]r {thing} is?",
            "[What|Which] colo[u|]r does {thing} have?",
            "How does {thing} look, what colo[u|]r?",
        ),
        ("{Thing} is {colour}.",),
        "{colour}",
        ("And {thing}?", "[What|How] about {thing}?", "And what colour is {thing}?"),
    ),
    Family(
        "mix",
        _MIXES + [{"one": row["two"], "two": row["one"], "mix": row["mix"]} for row in _MIXES],
        (
            "[What|Which colo[u|]r] do [you|I|we] get [when|if] [you|I|we] mix {one} [and|with] {two}?",
            "[What|Which colo[u|]r] [is|does] {one} [and|mixed with|plus] {two}[ make|]?",
            "Mix {one} and {two}[.|: what do I get?]",
            "What happens when I mix {one} with {two}?",
        ),
        ("If you mix {one} and {two}, you get {mix}.",),
        "{mix}",
        ("And {one} and {two}?", "What about {one} with {two}?"),
    ),
    Family(
        "sound",
        ANIMALS,
        (
            "[What|Which] [sound|noise] does {a_animal} make?",
            "What does {a_animal} say?",
            "[How|What] does {a_animal} sound[ like|]?",
            "[Tell me|Do you know] [the sound of {a_animal}|what sound {a_animal} makes].",
        ),
        ("{A_animal} {sound}.",),
        "{sound}",
        ("And {a_animal}?", "[What|How] about {a_animal}?"),
    ),
    Family(
        "young",
        ANIMALS,
        (
            (
                "[What is|What's] [a baby {animal}|a young {animal}|the young of "
                "{a_animal}|the baby of {a_animal}] called?"
            ),
            "[How|What] do you call [a baby|a young] {animal}?",
            "[What is the|Tell me the|What's the] [name|word] [of|for] a [baby|young] {animal}?",
        ),
        ("A young {animal} is called {a_young}.",),
        "{young}",
        ("And a [baby|young] {animal}?", "What about a [baby|young] {animal}?"),
    ),
    Family(
        "legs",
        ANIMALS,
        (
            "How many legs [does|has] {a_animal}[ have|]?",
            "[Do you know|Can you tell me] how many legs {a_animal} has?",
            "The number of legs of {a_animal}?",
        ),
        ("{A_animal} has {legs} legs.",),
        "{legs} legs",
        ("And {a_animal}?", "[What|How] about {a_animal}?"),
    ),
    Family(
        "animal-home",
        ANIMALS,
        (
            "Where does {a_animal} [live|sleep]?",
            "[Where is|What is] the home of {a_animal}?",
            "Where [can|do] I find {a_animal}?",
        ),
        ("{A_animal} lives {home}.",),
        "{home}",
        ("And {a_animal}?", "And where does {a_animal} live?"),
    ),
    Family(
        "animal-food",
        ANIMALS,
        (
            "What does {a_animal} [eat|like to eat]?",
            "What is the food of {a_animal}?",
            "What [can|do|should] I feed {a_animal}?",
        ),
        ("{A_animal} eats {food}.",),
        "{food}",
        ("And {a_animal}?", "And what does {a_animal} eat?"),
    ),
    Family(
        "animal-about",
        ANIMALS,
        (
            "[Tell me|What do you know] [something |]about {a_animal}[.|?]",
            "What is {a_animal}?",
            "[Describe|Explain] {a_animal}[ to me|].",
        ),
        (
            (
                "{A_animal} is an animal with {legs} legs. It {sound}, eats {food}, and lives {home}. A young one is "
                "called {a_young}."
            ),
        ),
        "{young}",
    ),
    Family(
        "opposite",
        _OPPOSITES,
        (
            "[What is|What's|Tell me|Name] the opposite of {word}?",
            '[What is|What\'s] the opposite of [the word |]"{word}"?',
            "[Do you know|Can you tell me] [the opposite of {word}|what the opposite of {word} is]?",
            "Opposite of {word}?",
            "[What|Which] word [is the opposite of|means the opposite of] {word}?",
            "The opposite of {word} is[ what|]?",
        ),
        ("The opposite of {word} is {opposite}.",),
        "is {opposite}.",
        ("And of {word}?", "And {word}?", "[What|How] about {word}?"),
    ),
    Family(
        "planet-number",
        _PLANETS,
        (
            "[What|Which] is the {nth} planet[ from the sun| of our solar system|]?",
            "[What|Which] planet is {nth}[ from the sun|]?",
            "Name the {nth} planet.",
        ),
        ("The {nth} planet from the sun is {planet}.",),
        "{planet}",
        ("And the {nth}?",),
    ),
    Family(
        "planet",
        _PLANETS,
        (
            (
                "[What is|Tell me about|What do you know about|Tell me something about|Describe] [the planet |"
                "]{planet}[.|?]"
            ),
            "[Where is|What about] the planet {planet}?",
        ),
        ("{planet} is the {nth} planet from the sun. It is {fact}.",),
        "{fact}",
        ("And {planet}?",),
    ),
    Family(
        "planet-fact",
        [row for row in _PLANETS if row["fact"].startswith("the ")],
        ("[What|Which] [planet is|is] {fact}[ from the sun|]?", "[Tell me|Name|Do you know] {fact}[.|?]"),
        ("{planet} is {fact}.",),
        "{planet}",
    ),
)
