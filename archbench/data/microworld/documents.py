"""Training documents of the microworld, each a function of (world, seed, index).

prose      everything about a few people, in varied wording and order
quiz       a subject's questions in one format, one to six of them, as the evaluation puts them
labels     lettered words, and then which letter stands for which word
contexts   lists, phonebooks, needles, chains and frequencies: `archbench.data.microworld.contexts`

A training may begin with short documents that are answered from themselves (`short_document`): copying from
the context is learned from them, or not at all within these budgets (docs/microworld.md).
"""

from __future__ import annotations

from collections.abc import Callable

from archbench.data.microworld import contexts
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
    for make, share in KINDS:
        if ticket < share:
            return make(world, draw)
        ticket -= share
    raise AssertionError("shares add up to 1, and a ticket is below 1")


def short_document(world: World, seed: int, *index: int, lists: bool) -> str:
    """Text of a document for the beginning of a training: a list, or if not `lists` alone also a book."""
    draw = Draw(seed, "short document", *index)
    kinds = (contexts.held_things, contexts.book_read_out, contexts.phonebook)
    return draw.pick(kinds[: 1 if lists else None])(world, draw, contexts.SHORT)


KINDS: tuple[tuple[Callable[[World, Draw], str], float], ...] = (
    (_prose, 0.12),
    (_quiz, 0.14),
    (_labels, 0.02),
    (contexts.held_things, 0.25),
    (contexts.phonebook, 0.2),
    (contexts.phonebook_copied, 0.12),
    (contexts.phonebook_reversed, 0.07),
    (contexts.needle, 0.04),
    (contexts.chain, 0.02),
    (contexts.frequency, 0.02),
)
"""Kinds of documents and their shares (of the documents, not of the tokens)."""
