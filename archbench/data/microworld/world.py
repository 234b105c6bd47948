"""The microworld: people, the facts about them, and which facts may be asked about in training.

A closed world in plain English, a function of its seed. Every person has one value for each relation:

    Mira ── trade: baker · town: Elmford · pet: badger · instrument: flute · dish: stew · colour: amber

Each fact (person, relation) is *asked* or *held out*. All facts are stated in training prose; only asked
ones occur in training quizzes. The evaluation asks the held-out ones, so that a right answer shows
knowledge taken from prose, not a remembered quiz line.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from archbench.draw import Draw

RELATIONS: dict[str, tuple[str, ...]] = {
    "trade": (
        "baker",
        "smith",
        "weaver",
        "potter",
        "sailor",
        "miller",
        "tailor",
        "mason",
        "farmer",
        "hunter",
        "doctor",
        "painter",
    ),
    "town": (
        "Elmford",
        "Ashby",
        "Redmoor",
        "Kelby",
        "Oxmouth",
        "Thornby",
        "Wexley",
        "Marwick",
        "Selkirk",
        "Dunholm",
        "Briarton",
        "Lynport",
    ),
    "pet": (
        "badger",
        "goat",
        "parrot",
        "cat",
        "hound",
        "rabbit",
        "ferret",
        "pony",
        "turtle",
        "goose",
        "lizard",
        "hawk",
    ),
    "instrument": (
        "flute",
        "drum",
        "fiddle",
        "harp",
        "lute",
        "horn",
        "organ",
        "bell",
        "whistle",
        "zither",
        "banjo",
        "cello",
    ),
    "dish": (
        "stew",
        "pie",
        "soup",
        "cake",
        "bread",
        "salad",
        "curry",
        "porridge",
        "pudding",
        "omelette",
        "dumpling",
        "pancake",
    ),
    "colour": (
        "amber",
        "blue",
        "green",
        "red",
        "white",
        "purple",
        "black",
        "yellow",
        "silver",
        "orange",
        "pink",
        "brown",
    ),
}
"""Relations and their possible values; each value belongs to one relation only."""

OBJECTS = (
    "rope", "coin", "lamp", "key", "book", "ring", "map", "cup",
    "knife", "box", "sack", "wheel", "brush", "candle", "basket", "mirror",
)  # fmt: skip
"""Things that people hold for the length of one passage; no fact of the world is about them."""

DIGITS = 2
"""Digits of the numbers in training documents, such as those of its phonebooks."""

_HOLDERS = 24

_ONSETS = ("B", "D", "F", "G", "H", "J", "K", "L", "M", "N", "P", "R", "S", "T", "V", "Z")
_VOWELS = ("a", "e", "i", "o", "u")
_ENDINGS = ("ba", "dan", "fi", "gor", "la", "lin", "mo", "nar", "ra", "ris", "sha", "tek", "vo", "win", "zu")


@dataclass(frozen=True)
class Fact:
    """One fact of the world.

    Attributes:
        person: The person's only name, unique in the world.
        relation: A key of `RELATIONS`.
        value: The person's value for it.
        held_out: True where training quizzes never ask for it.
    """

    person: str
    relation: str
    value: str
    held_out: bool


@dataclass(frozen=True)
class World:
    """A microworld.

    Attributes:
        seed: The world is a function of this seed and of `people`.
        people: How many people live in it; at most 1,200.
    """

    seed: int = 0
    people: int = 160

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The people's names, all different."""
        every = [onset + vowel + ending for onset in _ONSETS for vowel in _VOWELS for ending in _ENDINGS]
        return tuple(Draw(self.seed, "names").sample(every, self.people))

    @property
    def holders(self) -> tuple[str, ...]:
        """The people who occur in lists of who holds what.

        Few, like the objects: a model finds out how to copy from a list the earlier, the fewer names and
        things it has to learn to copy (docs/microworld.md has the measurements).
        """
        return self.names[:_HOLDERS]

    @cached_property
    def facts(self) -> tuple[Fact, ...]:
        """All facts, by relation, then by person.

        Values are dealt out in turn and so is the split, so that of each value's owners about half are held
        out (in a world of 80 people 3 of 6 or 7): neither says anything worth knowing about the answer.
        """
        facts = []
        for relation, values in RELATIONS.items():
            draw = Draw(self.seed, "facts", relation)
            owners = draw.shuffled(self.names)
            for i, person in enumerate(owners):
                held_out = (i // len(values)) % 2 == 1
                facts.append(Fact(person, relation, values[i % len(values)], held_out))
        return tuple(facts)

    @cached_property
    def by_person(self) -> dict[str, dict[str, Fact]]:
        """Facts by person and relation."""
        table: dict[str, dict[str, Fact]] = {name: {} for name in self.names}
        for fact in self.facts:
            table[fact.person][fact.relation] = fact
        return table

    def asked(self, relation: str) -> list[Fact]:
        """Facts of a relation that training quizzes may ask for."""
        return [f for f in self.facts if f.relation == relation and not f.held_out]

    def held_out(self, relation: str) -> list[Fact]:
        """Facts of a relation that only the evaluation asks for."""
        return [f for f in self.facts if f.relation == relation and f.held_out]
