"""The eight needle-in-a-haystack tasks: `The special magic number for KEY is VALUE.` in other text."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from archbench.draw import Draw
from archbench.errors import RequestError, amount
from archbench.tasks.ruler.fitting import Draft
from archbench.tasks.ruler.haystacks import NOISE
from archbench.tasks.ruler.vocabulary import (
    DIGITS,
    MOST_KEYS,
    draw_different,
    draw_keys,
    draw_number,
    draw_uuid,
)

DEPTHS = tuple(100 * at / 39 for at in range(40))
"""Depths in percent at which needles are hidden: 40, evenly spaced, as published."""


@dataclass(frozen=True)
class Needle:
    """Parameters of a task, as published.

    Attributes:
        haystack: What the needles are hidden in: `noise`, `essay`, or other needles (`needle`).
        keys: `words` or `uuids`.
        values: `numbers` or `uuids`.
        num_keys: Keys hidden.
        num_values: Values of each key.
        num_queries: Keys in the question.
    """

    haystack: Literal["noise", "essay", "needle"]
    keys: Literal["words", "uuids"] = "words"
    values: Literal["numbers", "uuids"] = "numbers"
    num_keys: int = 1
    num_values: int = 1
    num_queries: int = 1


NEEDLES: dict[str, Needle] = {
    "niah_single_1": Needle("noise"),
    "niah_single_2": Needle("essay"),
    "niah_single_3": Needle("essay", values="uuids"),
    "niah_multikey_1": Needle("essay", num_keys=4),
    "niah_multikey_2": Needle("needle"),
    "niah_multikey_3": Needle("needle", keys="uuids", values="uuids"),
    "niah_multivalue": Needle("essay", num_values=4),
    # num_needle_k is 1 in the published parameters; the published code raises it to the number of queries.
    "niah_multiquery": Needle("essay", num_keys=4, num_queries=4),
}
"""The eight tasks."""


class Needles:
    """Makes one of the eight tasks; a unit is a sentence of the haystack."""

    form = "published"
    least = 1

    def __init__(
        self,
        task: str,
        essay: Sequence[str],
        *,
        names: Sequence[str] = (),
        digits: int = DIGITS,
        file: str | None = None,
    ) -> None:
        """Set up the task with its haystack.

        Args:
            task: One of the eight.
            essay: The sentences of the essay haystack.
            names: What keys are drawn from in place of archbench's words.
            digits: Digits of a number.
            file: Where the names are from, for messages.
        """
        self._task, self._file = task, file
        self._needle, self._names, self._digits = NEEDLES[task], names, digits
        # There are only as many needles as names and numbers.
        most = min(len(names) or MOST_KEYS, self._most_numbers) - self._needle.num_keys
        self.step = max(1, min(64, most // 2)) if self._needle.haystack == "needle" else 64
        self._sentences = NOISE if self._needle.haystack == "noise" else essay
        # Numbers that the haystack itself contains are not used as needles.
        found = (one for text in self._sentences for one in re.findall(r"\d+", text))
        self._taken = {one for one in found if len(one) == digits}
        value = (
            "1f0c9d27-58be-4a36-9e07-d2b4c86fa915" if self._needle.values == "uuids" else "8046127"[:digits]
        )
        self.replies = (", ".join([value] * self._needle.num_queries * self._needle.num_values),)

    def make(self, draw: Draw, index: int, units: int) -> Draft:
        """Hide the needles in so many sentences; see `Maker.make`."""
        needle = self._needle
        hidden = units if needle.haystack == "needle" else 0
        keys = self._keys(draw, needle.num_keys + hidden)
        values = self._values(draw, needle.num_keys * needle.num_values + hidden)
        own = [(key, values.pop()) for key in keys[: needle.num_keys] for _ in range(needle.num_values)]
        noun = "uuid" if needle.values == "uuids" else "number"
        if hidden:
            hay = [_sentence(noun, *one) for one in zip(keys[needle.num_keys :], values, strict=True)]
        else:
            hay = [self._sentences[at % len(self._sentences)] for at in range(units)]
        depths = draw.sample(DEPTHS, len(own))
        queried = draw.sample(keys[: needle.num_keys], needle.num_queries)
        answers = tuple(value for key in queried for owner, value in own if owner == key)
        # From the deepest up, so that what is hidden later does not shift what is hidden already.
        for depth, (key, value) in sorted(zip(depths, own, strict=True), reverse=True):
            hay.insert(round(depth * units / 100), _sentence(noun, key, value))
        details: dict[str, int | str] = {}
        if len(answers) == 1:
            place = hay.index(_sentence(noun, queried[0], answers[0]))
            details["depth"] = round(100 * place / (len(hay) - 1))
        return Draft(_prompt(noun, " ".join(hay), queried, len(answers) > 1), answers, details)

    def _keys(self, draw: Draw, number: int) -> list[str]:
        if self._needle.keys == "uuids":
            return draw_different(draw, draw_uuid, number)
        if not self._names:
            return draw_keys(draw, number)
        if number > len(self._names):
            fewest = self._needle.num_keys + (self.least if self._needle.haystack == "needle" else 0)
            enough = amount(number, "name") if number == fewest else f"about {number:,} names at this length"
            instead = "" if number == fewest else "choose a shorter length, "
            raise RequestError(
                f"{self._file}: there {'is' if len(self._names) == 1 else 'are'} "
                f"{amount(len(self._names), 'name')} in it (`data`), and {self._task} needs "
                f"{enough}, another one for each needle: add some, one a line, {instead}or leave "
                f"{self._task} out of `tasks`."
            )
        return draw.sample(self._names, number)

    @property
    def _most_numbers(self) -> int:
        """Most numbers that are found quickly by rejection sampling: half of those that exist."""
        return int(9 * 10 ** (self._digits - 1)) // 2

    def _values(self, draw: Draw, number: int) -> list[str]:
        if self._needle.values == "uuids":
            return draw_different(draw, draw_uuid, number)
        if number + len(self._taken) > self._most_numbers:
            raise RequestError(
                f"RULER's needles have different numbers, and {number:,} would be needed: too many for "
                f"{amount(self._digits, 'digit')} (`digits`). Use more digits or a shorter length."
            )
        found = draw_different(draw, lambda one: draw_number(one, self._digits), number + len(self._taken))
        return [value for value in found if value not in self._taken][:number]


def _sentence(noun: str, key: str, value: str) -> str:
    return f"The special magic {noun} for {key} is {value}."


def _prompt(noun: str, context: str, keys: Sequence[str], several: bool) -> str:
    r"""The prompt.

        Special magic numbers are hidden in the text below. Memorise them.
        {context}
        What is the special magic number for {key}? The special magic number for {key} is

    With several answers: `What are all the special magic numbers for {keys}? The ... for {keys} are`. What it
    ends with is the beginning of the answer, given to every model as published.
    """
    subject = keys[0] if len(keys) == 1 else f"{', '.join(keys[:-1])} and {keys[-1]}"
    what = f"special magic {noun}s for {subject}" if several else f"special magic {noun} for {subject}"
    query, verb = (f"What are all the {what}", "are") if several else (f"What is the {what}", "is")
    return (
        f"Special magic {noun}s are hidden in the text below. Memorise them.\n"
        f"{context}\n{query}? The {what} {verb}"
    )
