"""Training documents whose questions are answered from the document itself: lists, phonebooks, needles, ...

Names and things are those of the world's lists, numbers are drawn anew for each document, so that nothing but
the text before a question says the answer. Where archbench has a task of the kind, the text is the task's
prompt, byte for byte (tests/data/test_contexts.py), with short numbers and the world's names in it:

    list         They hold: Mira rope, Taba coin. They hold: Taba coin, Mira rope.
    copied       Mira: 47 ... and its entries again in another order             tasks/phonebook, copy
    phonebook    Mira: 47 ... What is the phone number for Mira? Answer: 47        tasks/phonebook, standard
    reversed     ... memorise the number for Mira ... Mira: 47 ... Answer: 47      tasks/phonebook, reversed
    needle       ... The special magic number for Mira is 47. ...                  tasks/ruler, niah
    chain        ... VAR Mira = 47. ...  VAR Taba = VAR Mira. ...                  tasks/ruler, vt
    frequency    ... rope coin rope rope lamp ...                                  tasks/ruler, fwe
"""

from __future__ import annotations

from itertools import pairwise

from archbench.data.microworld.world import DIGITS, OBJECTS, World
from archbench.draw import Draw

SHORT = (2, 3, 4)
"""Sizes of lists and books at the beginning of a training."""

_SIZES = (*SHORT, 6, 8)
_BOOKS = (3, 4, 6, 8, 12)
_READINGS = 4
_NOISE = (
    "The river runs slow.",
    "The hills are far away.",
    "The evening wind is low.",
    "We wait here for a while.",
    "Then we walk on.",
)
_NEEDLES = (1, 2, 4, 8)
_MOST_NOISE = 12
_HOPS = (1, 2, 4)


def held_things(world: World, draw: Draw, sizes: tuple[int, ...] = _SIZES) -> str:
    """Who holds what, read out several times, each time in another order."""
    size = draw.pick(sizes)
    pairs = list(zip(draw.sample(world.holders, size), draw.sample(OBJECTS, size), strict=True))
    readings = (draw.shuffled(pairs) for _ in range(_READINGS))
    return "\n".join(
        "They hold: " + ", ".join(f"{name} {thing}" for name, thing in reading) + "." for reading in readings
    )


def book_read_out(world: World, draw: Draw, sizes: tuple[int, ...] = SHORT) -> str:
    """A book, several times, each time in another order."""
    book = _entries(world, draw, draw.pick(sizes))
    return "\n\n".join(_lines(draw.shuffled(book)) for _ in range(_READINGS))


def phonebook(world: World, draw: Draw, sizes: tuple[int, ...] = _BOOKS) -> str:
    """A book and questions about all its entries in random order, the first two of which are the examples."""
    book = _entries(world, draw, draw.pick(sizes))
    turns = "\n\n".join(f"{_asked(name)}\nAnswer: {number}" for name, number in draw.shuffled(book))
    return f"{_lines(book)}\n\n{turns}"


def phonebook_copied(world: World, draw: Draw) -> str:
    """A book and its entries again in random order, the first two of which are the examples."""
    book = _entries(world, draw, draw.pick(_BOOKS))
    again = draw.shuffled(book)
    return f"{_lines(book)}\n\n{_lines(again[:2])}\n\n{_lines(again[2:])}"


def phonebook_reversed(world: World, draw: Draw) -> str:
    """The name first, then the book, then the question."""
    book = _entries(world, draw, draw.pick(_BOOKS))
    (name, number), *examples = draw.sample(book, 3)
    return (
        "Entries of a phonebook have the form name: number. For example:\n"
        f"{_lines(examples)}\n... and so on.\n\n"
        f"Find the phone number for {name} in the phonebook below and memorise it.\n\n"
        f"Here is the phonebook:\n{_lines(book)}\n\n"
        f"This is the end of the phonebook. You were to memorise the phone number for {name}.\n\n"
        f"{_asked(name)}\nAnswer: {number}"
    )


def needle(world: World, draw: Draw) -> str:
    """Numbers hidden in sentences that say nothing, and one of them asked."""
    hidden = _entries(world, draw, draw.pick(_NEEDLES))
    hay = _hide(draw, [f"The special magic number for {name} is {number}." for name, number in hidden])
    name, number = draw.pick(hidden)
    what = f"special magic number for {name}"
    return (
        "Special magic numbers are hidden in the text below. Memorise them.\n"
        f"{hay}\nWhat is the {what}? The {what} is {number}"
    )


def chain(world: World, draw: Draw) -> str:
    """Names that are given a value through each other; which have it?"""
    names = draw.sample(world.holders, draw.pick(_HOPS) + 1)
    value = _number(draw)
    steps = [f"VAR {names[0]} = {value}."] + [f"VAR {to} = VAR {of}." for of, to in pairwise(names)]
    return (
        "Follow the chain of variable assignments hidden in the text below.\n\n"
        f"{_hide(draw, steps)}\n\nQuestion: Which variables have the value {value} in the text above? "
        f"Answer: The {len(names)} variables that have the value {value} in the text above are "
        + ", ".join(names)
    )


def frequency(world: World, draw: Draw) -> str:
    """Things that come more or less often; which three come most often, but for a row of dots?"""
    things = draw.sample(OBJECTS, 5 + draw.below(4))
    counts = (8, 6, 4, *([1] * (len(things) - 3)))
    words = ["...."] * 10 + [thing for thing, n in zip(things, counts, strict=True) for _ in range(n)]
    return (
        "Read the coded text below and count how often each coded word comes in it.\n"
        f"{' '.join(draw.shuffled(words))}\n"
        "Question: Which three coded words come most often in the text above? "
        "The dots '....' do not count. "
        f"Answer: The three coded words that come most often in the text above are: {', '.join(things[:3])}"
    )


def _entries(world: World, draw: Draw, size: int) -> list[tuple[str, str]]:
    numbers: dict[str, None] = {}
    while len(numbers) < size:
        numbers[_number(draw)] = None
    return list(zip(draw.sample(world.holders, size), numbers, strict=True))


def _number(draw: Draw) -> str:
    return str(10 ** (DIGITS - 1) + draw.below(9 * 10 ** (DIGITS - 1)))


def _lines(book: list[tuple[str, str]]) -> str:
    return "\n".join(f"{name}: {number}" for name, number in book)


def _asked(name: str) -> str:
    return f"What is the phone number for {name}?"


def _hide(draw: Draw, needles: list[str]) -> str:
    """Put sentences, in their order, at random places of the noise."""
    hay = [_NOISE[at % len(_NOISE)] for at in range(draw.below(_MOST_NOISE + 1))]
    places = sorted(draw.below(len(hay) + 1) for _ in needles)
    for place, one in zip(reversed(places), reversed(needles), strict=True):
        hay.insert(place, one)
    return " ".join(hay)
