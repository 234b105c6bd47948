"""Training documents of the microworld, each a function of (world, seed, index).

prose    everything about a few people, in varied wording and order
quiz     a subject's questions in one format, one to six of them, as the evaluation puts them
list     names and what they hold, read out and then again, each time in another order
labels   lettered words, and then which letter stands for which word
"""

from __future__ import annotations

from collections.abc import Callable

from archbench.data.microworld.quiz import (
    FORMATS,
    GROUPS,
    description,
    render,
    training_question,
)
from archbench.data.microworld.world import OBJECTS, RELATIONS, World
from archbench.draw import Draw

_STATEMENTS: dict[str, tuple[str, ...]] = {
    "trade": (
        "{name} works as a {value}.",
        "The trade of {name} is {value}.",
        "Everyone knows {name} the {value}.",
        "{name} earns a living as a {value}.",
    ),
    "town": (
        "{name} lives in {value}.",
        "The town of {name} is {value}.",
        "{name} has a house in {value}.",
        "You will find {name} in {value}.",
    ),
    "pet": (
        "{name} keeps a {value}.",
        "The pet of {name} is a {value}.",
        "{name} walks with a {value}.",
        "{name} feeds the {value} at dawn.",
    ),
    "instrument": (
        "{name} plays the {value}.",
        "The instrument of {name} is the {value}.",
        "{name} practises the {value} at night.",
        "{name} owns an old {value}.",
    ),
    "dish": (
        "{name} likes to eat {value}.",
        "The dish of {name} is {value}.",
        "{name} cooks {value} every week.",
        "{name} never says no to {value}.",
    ),
    "colour": (
        "{name} wears {value}.",
        "The colour of {name} is {value}.",
        "{name} paints every door {value}.",
        "{name} loves all that is {value}.",
    ),
}

_WORDS = (*OBJECTS, *(value for values in RELATIONS.values() for value in values))
_LIST_SIZES = (2, 3, 4, 6, 8)
_READINGS = 4
_LABELLED = 3


def _prose(world: World, draw: Draw) -> str:
    paragraphs = []
    for name in draw.sample(world.names, 1 + draw.below(3)):
        facts = world.by_person[name]
        sentences = [
            draw.pick(_STATEMENTS[relation]).format(name=name, value=facts[relation].value)
            for relation in draw.shuffled(list(RELATIONS))
        ]
        paragraphs.append(f"About {name}: " + " ".join(sentences))
    return "\n".join(paragraphs)


def _quiz(world: World, draw: Draw) -> str:
    subject, layout = draw.pick(list(GROUPS)), draw.pick(FORMATS)
    questions = [training_question(world, subject, draw) for _ in range(1 + draw.below(6))]
    turns = ["".join(render(question, layout)) for question in questions]
    return description(subject) + "\n\n" + "\n\n".join(turns)


def _list(world: World, draw: Draw) -> str:
    size = draw.pick(_LIST_SIZES)
    pairs = list(zip(draw.sample(world.holders, size), draw.sample(OBJECTS, size), strict=True))
    readings = (draw.shuffled(pairs) for _ in range(_READINGS))
    return "\n".join(
        "They hold: " + ", ".join(f"{name} {thing}" for name, thing in reading) + "." for reading in readings
    )


def _labels(world: World, draw: Draw) -> str:
    blocks = []
    for _ in range(_LABELLED):
        words = draw.sample(_WORDS, 4)
        lettered = list(zip("ABCD", words, strict=True))
        lines = "\n".join(f"{letter}. {word}" for letter, word in lettered)
        key = " ".join(f"The {word} is {letter}." for letter, word in draw.shuffled(lettered))
        blocks.append(f"{lines}\n{key}")
    return "\n\n".join(blocks)


def document(world: World, seed: int, *index: int) -> str:
    """Text of the training document with this index; independent of every other document."""
    draw = Draw(seed, "document", *index)
    ticket = draw.uniform()
    for make, share in _KINDS:
        if ticket < share:
            return make(world, draw)
        ticket -= share
    raise AssertionError("shares add up to 1, and a ticket is below 1")


_KINDS: tuple[tuple[Callable[[World, Draw], str], float], ...] = (
    (_prose, 0.3),
    (_quiz, 0.35),
    (_list, 0.25),
    (_labels, 0.1),
)
"""Kinds of documents and their shares (of the documents, not of the tokens)."""
