"""What the thirteen tasks have in common: a text made of so many units, fitted to a length in tokens."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from archbench.draw import Draw
from archbench.errors import RequestError
from archbench.tasks.lengths import TokenCounter, largest_fit

VERSION = 2
"""Goes into every cell's key: raise it when a change here or in the YAMLs alters a prompt or a score."""

_SHORT = 1024
"""Tokens below which the published room for the answer would leave too little for the text."""
_AIM = 0.985
"""Share of item 0's units that other items are tried with first: most then fit at once."""
_SLACK = 0.04
"""Share of the length by which a text may fall short without being made again."""
_NEAR = 16
"""Units by which the first search may exceed its upper bound."""
_SPARE = 0.9
"""Share of the length that a form of a task may take up before any filler."""


@dataclass(frozen=True)
class Draft:
    """An item before it is known to fit.

    Attributes:
        prompt: Everything that the model reads.
        answers: The references.
        details: Further columns of the item's row.
    """

    prompt: str
    answers: tuple[str, ...]
    details: dict[str, int | str] = field(default_factory=dict)


class Maker(Protocol):
    """Makes the texts of a task in one form.

    Attributes:
        form: Name of the form, unique within the task; `published` for the first.
        least: Smallest number of units.
        step: Units by which the length of a unit can be measured.
    """

    form: str
    least: int
    step: int

    @property
    def replies(self) -> Sequence[str]:
        """Answers as a model might write them, for the room that they need."""

    def make(self, draw: Draw, index: int, units: int) -> Draft:
        """The item of an index with so many units of filler; a function of the draw's key, index and units.

        Raises:
            RequestError: There is too little filler.
        """


@dataclass(frozen=True)
class Subtask:
    """The published parameters of a task.

    Attributes:
        name: Its name.
        category: `retrieval`, `tracing`, `aggregation` or `question answering`, as the paper groups them.
        room: Tokens that the answer may take.
        part: Whether one of the references is enough (`string_match_part`) or all count (`string_match_all`).
    """

    name: str
    category: str
    room: int
    part: bool = False


class TooShort(RequestError):
    """A length is too short for a task.

    Attributes:
        task: Its name.
        enough: A length in tokens at which the requested number of items can be made.
    """

    def __init__(self, message: str, task: str, enough: int) -> None:
        """Store the task and a sufficient length next to the message."""
        super().__init__(message)
        self.task, self.enough = task, enough


class _Fitting:
    """The form of a task that is used at a length, and how its texts are fitted to it."""

    def __init__(
        self,
        task: Subtask,
        forms: Callable[[int], Sequence[Maker]],
        seed: int,
        length: int,
        samples: int,
        count: TokenCounter,
    ) -> None:
        """Measure the shortest texts; arguments are those of `ruler_items`.

        Raises:
            TooShort: The shortest text of some item is too long.
            RequestError: There are fewer items than `samples`.
        """
        self._task, self._forms, self._seed = task, forms, seed
        self._length, self._samples, self._count = length, samples, count
        makers = forms(length)
        # Too few items for `samples` is an error before the first item is made.
        self._draft(makers[-1], samples - 1, makers[-1].least)
        fitting = (one for one in makers if self._size(one, 0, one.least) <= _SPARE * self._target(one))
        self.maker = next(fitting, makers[-1])
        self._least = self._size(self.maker, 0, self.maker.least)
        self.target = self._target(self.maker)
        # The shortest texts of the items differ by some tokens: measure all where little is to spare.
        if self._least > _SPARE * self.target and any(
            self._size(self.maker, index, self.maker.least) > self.target for index in range(samples)
        ):
            raise self._too_short()

    def draft(self, index: int, units: int) -> Draft:
        """The item of an index with so many units of filler."""
        return self._draft(self.maker, index, units)

    def guess(self) -> int:
        """Units that are likely to fill the length, from the lengths of two short texts."""
        maker = self.maker
        far = self._size(maker, 0, maker.least + maker.step)
        each = max(1, far - self._least) / maker.step
        return maker.least + max(0, int((self.target - self._least) / each))

    def most(self, guess: int) -> int:
        """Units above which none are tried at first."""
        # Not far above the guess: there may be too little filler for texts much longer than needed.
        return max(self.maker.least, 5 * guess // 4) + _NEAR

    def fit(self, index: int, guess: int, slack: float) -> int:
        """The most units that an item may have.

        Args:
            index: Which item.
            guess: Units to try first.
            slack: Part of the length by which the text may fall short of it.

        Raises:
            RequestError: There is too little filler.
        """
        while True:
            high = self.most(guess)
            found = largest_fit(
                lambda units: self._size(self.maker, index, units),
                target=self.target,
                low=self.maker.least,
                high=high,
                guess=guess,
                slack=int(slack * self._length),
            )
            if found is None:
                raise self._too_short()
            if found < high:
                return found
            guess = high

    def _too_short(self) -> TooShort:
        """The error for a length at which the shortest text of some item is too long."""
        name = self._task.name

        def needed(tokens: int) -> tuple[int, int]:
            maker = self._forms(tokens)[-1]
            draws = (Draw(self._seed, "ruler", name, tokens, index) for index in range(self._samples))
            made = (maker.make(draw, index, maker.least) for index, draw in enumerate(draws))
            longest = max(self._count(one.prompt) for one in made)
            return longest, answer_room(self._task.room, maker.replies, tokens, self._count)

        text, room = needed(self._length)
        # Other texts are drawn at another length, some of them longer; and longer texts keep more room.
        enough = text + room
        while (more := sum(needed(enough))) > enough:
            enough = more
        return TooShort(
            f"{name} at {self._length} tokens: the shortest text takes {text} tokens with this tokenizer, "
            f"and the answer {room}. {enough} tokens are enough: use that length, or leave {name} out of "
            "`tasks`.",
            name,
            enough,
        )

    def _draft(self, maker: Maker, index: int, units: int) -> Draft:
        return maker.make(Draw(self._seed, "ruler", self._task.name, self._length, index), index, units)

    def _size(self, maker: Maker, index: int, units: int) -> int:
        return self._count(self._draft(maker, index, units).prompt)

    def _target(self, maker: Maker) -> int:
        return self._length - answer_room(self._task.room, maker.replies, self._length, self._count)


def ruler_items(
    task: Subtask,
    forms: Callable[[int], Sequence[Maker]],
    seed: int,
    length: int,
    samples: int,
    count: TokenCounter,
) -> Iterator[dict[str, Any]]:
    """Items of one task and length, each a function of (seed, task, length, index) and the tokenizer.

    How many units fit is found for item 0; the others are tried with a little less, and made again only
    where that turns out too long or too short.

    Args:
        task: The task.
        forms: Its forms at a length in tokens; the first that leaves room for filler is taken.
        seed: Seed of the items.
        length: Tokens of prompt and answer that no item exceeds.
        samples: How many items.
        count: Counts tokens.

    Yields:
        Documents: `id`, `prompt`, `answers`, `target` (the answers as one text), `subject`, `category`,
        `part` (whether one answer is enough), `room` (tokens for the answer) and `details` (further columns).

    Raises:
        TooShort: Even the shortest text of some item is too long.
        RequestError: There is too little filler.
    """
    fitting = _Fitting(task, forms, seed, length, samples, count)
    maker = fitting.maker
    whole = fitting.fit(0, fitting.guess(), _SLACK / 4)
    for index in range(samples):
        units = whole if index == 0 else fitting.fit(index, max(maker.least, int(_AIM * whole)), _SLACK)
        made = fitting.draft(index, units)
        yield {
            "id": f"{task.name}-{length}/{index}",
            "prompt": made.prompt,
            "answers": list(made.answers),
            "target": ", ".join(made.answers),
            "subject": task.name,
            "category": task.category,
            "part": task.part,
            "room": length - fitting.target,
            "details": {"form": maker.form, **made.details},
        }


def check_items(
    task: Subtask,
    forms: Callable[[int], Sequence[Maker]],
    seed: int,
    length: int,
    samples: int,
    count: TokenCounter,
    *,
    limited: bool,
) -> None:
    """Raise what `ruler_items` would for its first item, without counting the tokens of long texts.

    Args:
        task: As for `ruler_items`, like the other arguments.
        forms: The same.
        seed: The same.
        length: The same.
        samples: The same.
        count: The same.
        limited: Whether the filler may run out.

    Raises:
        TooShort: Even the shortest text of some item is too long.
        RequestError: There is too little filler.
    """
    fitting = _Fitting(task, forms, seed, length, samples, count)
    if not limited:
        return
    guess = fitting.guess()
    try:
        # Where there is enough for the longest text that could be tried, there is for all.
        fitting.draft(0, fitting.most(guess))
    except RequestError:
        fitting.fit(0, guess, _SLACK / 4)


def answer_room(published: int, replies: Sequence[str], length: int, count: TokenCounter) -> int:
    """Tokens kept free for the answer.

    As published, unless a tokenizer needs more for the same text (a quarter to spare), or the text is so
    short that the published room would take up a large part of it.
    """
    needed = 4 + 5 * max(count.pieces([f" {reply}" for reply in replies])) // 4
    return needed if length < _SHORT else max(published, needed)
