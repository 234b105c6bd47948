"""Phonebook items, each a function of seed, format, size, book, query and, in tokens, the tokenizer."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from archbench.draw import Draw
from archbench.errors import RequestError, amount
from archbench.tasks.lengths import TokenCounter, largest_fit
from archbench.tasks.phonebook.names import Pool, draw_entries, pool_of, too_large
from archbench.tasks.phonebook.prompts import EXAMPLES, Entry, Format, book_lines, render

ANSWER_TOKENS = 24
"""Room for the answer: a space, twelve characters and as many tokens in the worst case, and some to spare."""

_MARGIN = 8
"""Tokens by which other questions about a book could be longer than the one that was counted."""
_SAMPLE = 64
"""Entries whose mean length says how many to try first."""
_Items = list[dict[str, Any]]


@dataclass(frozen=True)
class Layout:
    """What is asked about each book.

    Attributes:
        queries: Questions per book, their depths spread evenly over it, unless `depths` names them.
        depths: Where the asked entries stand, in percent: 0 is the first entry, 100 the last.
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
        """Entries of the smallest book in which examples and asked entries differ."""
        return self.count + EXAMPLES

    def places(self, entries: int, draw: Draw) -> list[int]:
        """Indices of the asked entries, all different, in the order of the questions."""
        taken: list[int] = []
        for at in range(self.count):
            if self.depths is None:
                # One draw in each of as many equal parts of the book.
                place = int((at + draw.uniform()) * entries / self.count)
            else:
                place = _place(self.depths[at], entries)
            taken.append(_nearest_free(place, entries, taken))
        return taken

    def examples(self, entries: int, asked: Sequence[int]) -> list[int]:
        """Indices of the entries shown as examples: spread evenly, none of them asked about."""
        taken = list(asked)
        for at in range(EXAMPLES):
            taken.append(_nearest_free((at + 1) * entries // (EXAMPLES + 1), entries, taken))
        return taken[len(asked) :]


def items_by_entries(
    seed: int, form: Format, entries: int, books: int, layout: Layout
) -> Iterator[dict[str, Any]]:
    """Items over books with a number of entries; the same books in every format.

    Yields:
        Documents: `id`, `prompt`, `name`, `target`, `numbers` (the book's, in its order), `examples` (their
        indices), `book`, `book_entries`, `place` (index of the asked entry) and `depth` (percent).

    Raises:
        RequestError: The book is too small for its questions, or larger than there are names.
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
        layout: What is asked.
        count: Counts tokens.

    Yields:
        As `items_by_entries`.

    Raises:
        RequestError: The smallest book with its questions does not fit, or the names do not suffice.
    """
    if layout.smallest > layout.pool.largest:
        raise too_large(layout.pool, f"the smallest book with these questions, {layout.smallest} entries")
    room = length - ANSWER_TOKENS - _MARGIN
    for index in range(books):
        book = _Growing(seed, form, length, index, layout, count)
        fitted = largest_fit(
            book.longest,
            target=room,
            low=layout.smallest,
            high=layout.pool.largest,
            guess=layout.smallest + int((0.995 * room - book.longest(layout.smallest)) / book.mean),
            slack=max(book.largest, room // 100),
        )
        if fitted is None:
            enough = shortest_length(seed, form, length, books, layout, count)
            raise RequestError(
                f"A phonebook of {length} {'token' if length == 1 else 'tokens'} is too short: "
                f"{layout.smallest} entries, the question and "
                f"the answer take up to {enough} in format '{form}' with this tokenizer. Ask for {enough} "
                "tokens or fewer queries per book."
            )
        if fitted == layout.pool.largest:
            raise too_large(
                layout.pool, f"a book of {length:,} tokens, more than {amount(fitted, 'entry', 'entries')}"
            )
        yield from book.items(fitted)


def shortest_length(
    seed: int, form: Format, length: int, books: int, layout: Layout, count: TokenCounter
) -> int:
    """The least number of tokens from `length` on that the smallest of so many books fit into, all of them.

    Books are drawn anew for every length, so that each length tried is measured.
    """
    while True:
        smallest = (_Growing(seed, form, length, index, layout, count) for index in range(books))
        needed = max(one.longest(layout.smallest) for one in smallest) + ANSWER_TOKENS + _MARGIN
        if needed <= length:
            return length
        length += 1 if needed - length < _MARGIN else (needed - length) // 2


class _Growing:
    """A book that goes on being drawn from as it grows, and the tokens of its longest prompt.

    Attributes:
        mean: Mean tokens of an entry, of a sample.
        largest: Tokens of the longest entry of the sample.
    """

    def __init__(
        self, seed: int, form: Format, length: int, index: int, layout: Layout, count: TokenCounter
    ) -> None:
        size = f"tokens-{length}"
        self._make = partial(_items, seed, form, size, index)
        self._layout, self._count = layout, count
        self._drawn = draw_entries(Draw(seed, "phonebook", size, index), layout.pool)
        self._pool = list(
            itertools.islice(self._drawn, max(layout.smallest, min(_SAMPLE, layout.pool.largest)))
        )
        each = count.pieces([f"{line}\n" for line in book_lines(self._pool).split("\n")])
        self.mean, self.largest = sum(each) / len(each), max(each)

    def items(self, entries: int) -> _Items:
        self._pool.extend(itertools.islice(self._drawn, max(0, entries - len(self._pool))))
        return list(self._make(self._pool[:entries], self._layout))

    def longest(self, entries: int) -> int:
        # Only the names asked differ, so that the longest name makes the longest prompt.
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
            f"examples about different entries: ask for at least {layout.smallest} entries, or fewer queries."
        )
    if entries > layout.pool.largest:
        raise too_large(layout.pool, f"a book of {amount(entries, 'entry', 'entries')}")


def _place(depth: int, entries: int) -> int:
    return round(depth * (entries - 1) / 100)


def _nearest_free(place: int, entries: int, taken: Sequence[int]) -> int:
    """The index nearest to `place` that is not taken; the lower of two equally near."""
    place = min(place, entries - 1)
    return min((at for at in range(entries) if at not in taken), key=lambda at: (abs(at - place), at))
