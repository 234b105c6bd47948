"""The keys, words, numbers and codes that RULER hides and counts, and how they are drawn."""

from __future__ import annotations

from collections.abc import Callable

from archbench.draw import Draw
from archbench.errors import RequestError

ADJECTIVES = tuple(
    """
    able amber ample ancient angry autumn bare basic bitter blank blind blue bold brave brief bright
    brisk broad broken bronze brown busy calm careful cheap cheerful chilly civil clean clear clever
    cloudy clumsy coastal cold common content cool copper coral cosy crisp crooked curious curly daily
    damp dark dear deep delicate dense distant double dreamy drowsy dry dull dusty eager early earnest
    easy elegant empty endless equal even faint fair faithful false famous fancy fast fearless feeble
    fierce final firm flat fond foolish formal fragile frank free fresh friendly frosty frozen full
    funny gentle giant glad gloomy golden good graceful grand grateful great green grey grim handsome
    happy hard harsh hasty hazy heavy hidden hollow honest huge humble hungry icy idle jolly keen kind
    large lasting late lazy lean light little lively local lonely long loose loud lovely low loyal lucky
    lunar mellow merry mighty mild misty modest muddy narrow neat nervous new nimble noble noisy obvious
    odd old open orange pale patient perfect pink plain playful pleasant plump polite poor precious
    pretty proud pure purple quaint quick quiet rapid rare raw ready real red restless rich ripe rough
    round royal rural rusty sad safe salty scarlet secret serious shallow sharp shiny short shy silent
    silky silver simple single sleepy slim slow small smooth snowy sober soft solemn solid sour spare
    spicy square stale steady steep stern stiff stormy straight strange strict strong sturdy subtle
    sudden sunny sweet swift tall tame tart tender thick thin thirsty tidy tiny tired tough tranquil
    true upright urban useful vague valiant vast velvet violet vivid warm wary weak wealthy weary wet
    white whole wide wild wise witty wooden worthy yellow young
    """.split()  # noqa: SIM905 - as words it can be read
)
NOUNS = tuple(
    """
    acorn actor album alley almond anchor angle ankle apple apron arch arrow atlas attic badge bagel
    baker balcony ball banjo bank barber barn basin basket beach beacon beam bean bear beaver bell belt
    bench berry bicycle bird biscuit blanket blossom board boat bonnet book boot bottle boulder bowl box
    bracelet branch bread breeze brick bridge broom brush bucket buckle bulb bundle butter button cabin
    cable cactus cake camel camera canal candle canoe canvas cape caravan card carpet carrot cart castle
    cattle cave cellar chain chair chalk chapel cherry chest chimney cinema circle clay clerk cliff
    clock cloak cloud clover coach coast coat cobra coffee coin collar column comb compass copper corn
    corner cottage cotton couch country cousin crab cradle crane crater cream cricket crow crown crystal
    cup cupboard curtain cushion dairy daisy dancer desert desk diamond diary dinner dish doctor dog
    doll donkey door dove dragon drawer dress drum duck eagle easel echo elbow engine eraser fabric
    falcon farmer feather fence fern ferry fiddle field finger fire fish flag flame flask flower flute
    fog forest fork fossil fountain fox frame frog fruit garden garlic gate ghost giraffe glacier glass
    globe glove goat goose grain grape grass guitar hammer hammock harbour hare harp hat hawk hedge
    helmet hen herb hill hinge honey hook horn horse hotel hunter iceberg inn ink iron island ivory
    jacket jar jewel judge jug jungle kettle key kitchen kite kitten knee knife knot ladder lake lamp
    lantern lark lawn leaf leather lemon letter library lighthouse lily linen lion lizard lobster lock
    log lorry magnet maple map marble market mask mast meadow medal melon metal mill miner mirror mitten
    monkey moon moose morning moss moth motor mountain mouse museum music mustard napkin needle nest net
    notebook nurse nut oak oar oasis ocean olive onion orchard orchid organ otter oven owl oyster paddle
    page painter palace pan panda paper parade parcel parrot path peach peanut pear pebble pelican
    pencil penguin pepper piano picture pier pigeon pillow pilot pine pipe planet plank plate plough
    plum pocket poem pond pony poppy porch postman potato potter prairie prince puddle pump pumpkin
    puppet puzzle quarry queen quilt rabbit radio radish raft railway rain rainbow raven ribbon rice
    river road robin rocket roof room rope rose ruby rug ruler sack saddle sailor salad salmon salt sand
    sandal saw scarf school scissors seal seed shadow shark shawl sheep shelf shell shepherd ship shirt
    shoe shop shovel shrimp singer sister sleigh slipper smoke snail snake soap sock soldier soup spade
    sparrow spear spider spoon spring squirrel stable stair stamp star statue stem stone stool storm
    story stove straw street string sugar suitcase sun swallow swan table tailor tea teacher teapot
    temple tent theatre thimble thorn thread throne thunder ticket tiger timber toad toast tomato torch
    tortoise towel tower town toy tractor train tray treasure tree trumpet trunk tulip tunnel turkey
    turnip turtle twig umbrella uncle valley van vase veil village violin voyage waggon waiter wall
    walnut walrus wardrobe water wave weasel well whale wharf wheat wheel whistle willow wind window
    wing winter wolf wood wool worm wreath wren writer yacht yard zebra
    """.split()  # noqa: SIM905 - as words it can be read
)
KEYS = len(ADJECTIVES) * len(NOUNS)
"""Number of keys made of an adjective and a noun."""
DIGITS = 7
"""Digits of a number, as published."""

MOST_KEYS = 3 * KEYS // 4
"""Most keys drawn for one text, so that rejection sampling finds them quickly."""
# Shorter ones (hat, ink) are parts of words that any answer may have (that, think).
_SINGLE = tuple(sorted(word for word in {*ADJECTIVES, *NOUNS} if len(word) > 4))
_MOST_SINGLE = 2 * len(_SINGLE) // 3
MOST_WORDS = len(NOUNS) ** 2 // 2
"""Most words drawn for one text, for the same reason."""


def draw_keys(draw: Draw, number: int) -> list[str]:
    """Different keys of the form `quiet-lantern`.

    Raises:
        RequestError: There are fewer.
    """
    if number > MOST_KEYS:
        raise RequestError(
            f"RULER's needles have at most {MOST_KEYS:,} different keys in one text, and {number:,} would be "
            "needed. Choose a shorter length."
        )
    return draw_different(draw, lambda one: f"{one.pick(ADJECTIVES)}-{one.pick(NOUNS)}", number)


def draw_words(draw: Draw, special: int, others: int) -> tuple[list[str], list[str]]:
    """Different words; the special ones are neither part of another nor have one in them.

    So a special word in an answer is not there by accident. Words are single as long as two thirds of the
    pool suffice; where more are needed, the rest are compounds of two nouns (`riverlamp`), among special and
    other words alike.

    Args:
        draw: What they are drawn from.
        special: How many special words.
        others: How many more.

    Returns:
        The special words and the others.

    Raises:
        RequestError: There are fewer.
    """
    total = special + others
    if total > MOST_WORDS:
        raise RequestError(
            f"RULER's lists have at most {MOST_WORDS:,} different words, and {total:,} would be "
            "needed. Choose a shorter length."
        )
    single = draw.shuffled([at < _MOST_SINGLE for at in range(total)])
    kept: dict[str, None] = {}
    rest: dict[str, None] = {}
    for at, one in enumerate(single):
        while True:
            word = draw.pick(_SINGLE) if one else draw.pick(NOUNS) + draw.pick(NOUNS)
            if word not in rest and not any(word in other or other in word for other in kept):
                break
        (kept if at < special else rest)[word] = None
    return list(kept), list(rest)


def draw_different(draw: Draw, one: Callable[[Draw], str], number: int) -> list[str]:
    """So many different results of `one`, in the order in which they came."""
    found: dict[str, None] = {}
    while len(found) < number:
        found[one(draw)] = None
    return list(found)


def draw_number(draw: Draw, digits: int = DIGITS) -> str:
    """A number of so many digits, the first not zero."""
    least = 10 ** (digits - 1)
    return str(least + draw.below(9 * least))


def draw_uuid(draw: Draw) -> str:
    """A random UUID of version 4, RFC 9562."""
    digits = [*"".join(f"{draw.below(1 << 32):08x}" for _ in range(4))]
    digits[12], digits[16] = "4", "89ab"[draw.below(4)]
    text = "".join(digits)
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def draw_letters(draw: Draw, alphabet: str, length: int) -> str:
    """A word of random letters."""
    return "".join(draw.pick(alphabet) for _ in range(length))
