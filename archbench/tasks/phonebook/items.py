"""Phonebook items, each a function of seed, format, size, book, query and, in tokens, the tokenizer."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any

from archbench.draw import Draw
from archbench.errors import RequestError, amount
from archbench.tasks.lengths import TokenCounter, largest_fit
from archbench.tasks.phonebook.pool import Pool, draw_entries, pool_of, too_large
from archbench.tasks.phonebook.prompts import EXAMPLES, Entry, Format, book_lines, render

ANSWER_TOKENS = 24
"""Room for the answer: a space, twelve characters and as many tokens in the worst case, and some to spare."""

_MARGIN = 8
"""Tokens by which other questions about a book may be longer than the one that was counted."""
_SAMPLE = 64
"""Entries whose mean length says how many to try first."""
_Items = list[dict[str, Any]]


@dataclass(frozen=True)
class Layout:
    """The questions about each book.

    Attributes:
        queries: Questions per book, their depths spread evenly over it, unless `depths` names them.
        depths: Where the queried entries stand, in percent: 0 is the first entry, 100 the last.
        pool: What the books' entries are drawn from.
        worked: Whether `reversed` has worked examples before its question, as `standard` always has.
    """

    queries: int = 5
    depths: tuple[int, ...] | None = None
    pool: Pool = field(default_factory=pool_of)
    worked: bool = True

    @property
    def count(self) -> int:
        """Questions per book."""
        return self.queries if self.depths is None else len(self.depths)

    @property
    def smallest(self) -> int:
        """Entries of the smallest book in which examples and queried entries differ."""
        return self.count + EXAMPLES

    def places(self, entries: int, draw: Draw) -> list[int]:
        """Indices of the queried entries, all different, in the order of the questions."""
        taken: list[int] = []
        for at in range(self.count):
            if self.depths is None:
                # One draw in each of as many equal parts of the book.
                place = int((at + draw.uniform()) * entries / self.count)
            else:
                place = _place(self.depths[at], entries)
            taken.append(_nearest_free(place, entries, taken))
        return taken

    def examples(self, entries: int, queried: Sequence[int]) -> list[int]:
        """Indices of the entries shown as examples: spread evenly, none of them queried."""
        taken = list(queried)
        for at in range(EXAMPLES):
            taken.append(_nearest_free((at + 1) * entries // (EXAMPLES + 1), entries, taken))
        return taken[len(queried) :]


def items_by_entries(
    seed: int, form: Format, entries: int, books: int, layout: Layout
) -> Iterator[dict[str, Any]]:
    """Items over books with a number of entries; the same books in every format.

    Yields:
        Documents: `id`, `prompt`, `name`, `target`, `numbers` (the book's, in its order), `examples` (their
        indices), `book`, `book_entries`, `place` (index of the queried entry) and `depth` (percent).

    Raises:
        RequestError: The book is too small for its questions, or there are too few names for it.
    """
    _check_size(entries, layout)
    for index in range(books):
        book = _draw_book(seed, f"entries-{entries}", index, entries, layout.pool)
        yield from _items(seed, form, f"entries-{entries}", index, book, layout)


def items_by_length(
    seed: int, form: Format, length: int, books: int, layout: Layout, count: TokenCounter
) -> Iterator[dict[str, Any]]:
    """Items over books as large as fits into a number of tokens, the answer's room included.

    Args:
        seed: Seed of the books.
        form: The format.
        length: Tokens of prompt and answer that no item of the book exceeds.
        books: How many books.
        layout: The questions.
        count: Counts tokens.

    Yields:
        As `items_by_entries`.

    Raises:
        RequestError: The smallest book with its questions does not fit, or there are too few names.
    """
    _check_pool(layout)
    for index in range(books):
        book = _Growing(seed, form, length, index, layout, count)
        fitted = book.fitted()
        if fitted is None:
            raise _too_short(seed, form, length, books, layout, count)
        yield from book.items(fitted)


def check_by_length(
    seed: int, form: Format, length: int, books: int, layout: Layout, count: TokenCounter
) -> None:
    """Raise what `items_by_length` would, making only books that could be refused.

    Args:
        seed: As for `items_by_length`, like the other arguments.
        form: The same.
        length: The same.
        books: The same.
        layout: The same.
        count: The same.

    Raises:
        RequestError: The smallest book with its questions does not fit, or there are too few names.
    """
    _check_pool(layout)
    made = partial(_Growing, seed, form, length, layout=layout, count=count)
    first = made(0)
    # The smallest book of the longest entries that there are: no text has more tokens than bytes.
    entry = layout.pool.longest, layout.pool.number(Draw("longest"))
    lines = book_lines([entry] * layout.smallest)
    longest = render(form, lines, [entry] * EXAMPLES, entry[0], worked=layout.worked)
    if len(longest.encode()) + count("") > first.room and any(
        made(index).longest(layout.smallest) > first.room for index in range(books)
    ):
        raise _too_short(seed, form, length, books, layout, count)
    # Two bounds that no two books differ by: of a guess from a sample, and of the largest book's tokens.
    largest = layout.pool.largest
    if 1.5 * first.guess() < largest or first.longest(largest) > first.room * (1 + 2 / largest**0.5):
        return
    for index in range(books):
        book = made(index)
        if book.longest(layout.pool.largest) <= book.room:
            book.fitted()


def _too_short(
    seed: int, form: Format, length: int, books: int, layout: Layout, count: TokenCounter
) -> RequestError:
    enough = shortest_length(seed, form, length, books, layout, count)
    return RequestError(
        f"A phonebook of {amount(length, 'token')} is too short: {layout.smallest} entries, the question and "
        f"the answer take up to {enough} in format '{form}' with this tokenizer. Use {enough} tokens or "
        "fewer queries per book."
    )


def _check_pool(layout: Layout) -> None:
    if layout.smallest > layout.pool.largest:
        raise too_large(layout.pool, f"the smallest book with these questions, {layout.smallest} entries")


def shortest_length(
    seed: int, form: Format, length: int, books: int, layout: Layout, count: TokenCounter
) -> int:
    """The least number of tokens from `length` on that the smallest of so many books fit into, all of them.

    Books are drawn anew for every length, so that each length tried is measured.
    """
    while True:
        needed = 0
        for index in range(books):
            longest = _Growing(seed, form, length, index, layout, count).longest(layout.smallest)
            needed = max(needed, longest + ANSWER_TOKENS + _MARGIN)
            # A sample of books is enough to reject a length; to accept one, all have to be measured.
            if needed > length and index >= _SAMPLE:
                break
        if needed <= length:
            return length
        length += 1 if needed - length < _MARGIN else (needed - length) // 2


class _Growing:
    """A book that is drawn entry by entry as it grows, and the tokens of its longest prompt.

    Attributes:
        room: Tokens that a prompt may have.
    """

    def __init__(
        self, seed: int, form: Format, length: int, index: int, layout: Layout, count: TokenCounter
    ) -> None:
        size = f"tokens-{length}"
        self._make = partial(_items, seed, form, size, index)
        self._layout, self._count, self._length = layout, count, length
        self.room = length - ANSWER_TOKENS - _MARGIN
        self._drawn = draw_entries(Draw(seed, "phonebook", size, index), layout.pool)
        self._pool: list[Entry] = []

    def items(self, entries: int) -> _Items:
        return list(self._make(self._first(entries), self._layout))

    def fitted(self) -> int | None:
        """The most entries that fit; None where the smallest book does not.

        Raises:
            RequestError: There is room for more entries than the pool has.
        """
        layout = self._layout
        fitted = largest_fit(
            self.longest,
            target=self.room,
            low=layout.smallest,
            high=layout.pool.largest,
            guess=self.guess(),
            slack=max(*self._sample, self.room // 100),
        )
        if fitted == layout.pool.largest:
            raise too_large(layout.pool, f"a book of {self._length:,} tokens, more than {fitted:,} entries")
        return fitted

    def guess(self) -> int:
        """Entries that are likely to fill the room, from the mean length of a sample."""
        smallest = self._layout.smallest
        mean = sum(self._sample) / len(self._sample)
        return smallest + int((0.995 * self.room - self.longest(smallest)) / mean)

    @cached_property
    def _sample(self) -> list[int]:
        """Tokens of the first entries."""
        entries = max(self._layout.smallest, min(_SAMPLE, self._layout.pool.largest))
        return self._count.pieces([f"{line}\n" for line in book_lines(self._first(entries)).split("\n")])

    def _first(self, entries: int) -> list[Entry]:
        self._pool.extend(itertools.islice(self._drawn, max(0, entries - len(self._pool))))
        return self._pool[:entries]

    def longest(self, entries: int) -> int:
        # Only the queried names differ, so the longest name makes the longest prompt.
        made = self.items(entries)
        names = self._count.pieces([f" {item['name']}" for item in made])
        return self._count(made[max(range(len(made)), key=names.__getitem__)]["prompt"])


def _draw_book(seed: int, size: str, index: int, entries: int, pool: Pool) -> list[Entry]:
    return list(itertools.islice(draw_entries(Draw(seed, "phonebook", size, index), pool), entries))


def _items(
    seed: int, form: Format, size: str, index: int, book: list[Entry], layout: Layout
) -> Iterator[dict[str, Any]]:
    places = layout.places(len(book), Draw(seed, "phonebook", size, index, "places"))
    examples = layout.examples(len(book), places)
    shown, lines = [book[at] for at in examples], book_lines(book)
    for query, place in enumerate(places):
        name, number = book[place]
        yield {
            "id": f"{size}/{index}-{query}",
            "prompt": render(form, lines, shown, name, worked=layout.worked),
            "name": name,
            "target": number,
            "numbers": [number for _, number in book],
            "examples": examples,
            "book": index,
            "book_entries": len(book),
            "place": place,
            "depth": round(100 * place / (len(book) - 1)),
        }


def _check_size(entries: int, layout: Layout) -> None:
    if entries < layout.smallest:
        raise RequestError(
            f"A phonebook of {amount(entries, 'entry', 'entries')} is too small for "
            f"{amount(layout.count, 'question')} and {EXAMPLES} "
            f"examples about different entries: use at least {layout.smallest} entries, or fewer queries."
        )
    if entries > layout.pool.largest:
        raise too_large(layout.pool, f"a book of {amount(entries, 'entry', 'entries')}")


def _place(depth: int, entries: int) -> int:
    return round(depth * (entries - 1) / 100)


def _nearest_free(place: int, entries: int, taken: Sequence[int]) -> int:
    """The index nearest to `place` that is not taken; the lower of two equally near."""
    place = min(place, entries - 1)
    return min((at for at in range(entries) if at not in taken), key=lambda at: (abs(at - place), at))
