"""The suite entry `kind: phonebook`."""

from __future__ import annotations

import logging
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from archbench.identity import digest
from archbench.results.shapes import CellShape
from archbench.schema import Address, Count, Tokens, Whole
from archbench.tasks.entry import Variant, each_once
from archbench.tasks.lengths import GeneratedEntry, required_counter
from archbench.tasks.phonebook import prompts, scoring
from archbench.tasks.phonebook.items import Layout, check_by_length, items_by_entries
from archbench.tasks.phonebook.pool import DIGITS, pool_of
from archbench.tasks.work import LmEval

_log = logging.getLogger(__name__)

Perturbed = Literal["delimiter", "answer_prefix", "shot_order", "preamble", "separator"]


class PhonebookEntry(GeneratedEntry):
    """Recall of one number from a phonebook, in up to three formats and any sizes (docs/phonebook.md).

    Attributes:
        kind: `phonebook`.
        formats: Which formats, in the order in which tables show them.
        entries: Sizes of the books in entries; the same books in every format.
        lengths: Sizes in tokens, prompt and answer together; give this or `entries`.
        books: Books of each size.
        queries: Questions about each book, their depths spread evenly over it.
        depths: Depths of the queried entries in percent, one question per book each, instead of `queries`.
        perturb: Changes to the prompt, each a variant of its own next to the plain one: `delimiter`,
            `answer_prefix` (not of `copy`), `shot_order`, `preamble`, `separator`.
        limit: Only the first so many items of each variant, book by book; None for all.
        data: Names to draw from instead of archbench's own: a text file with a name a line, or the name of a
            family that comes with such a file.
        digits: Digits of a number; ten are written `AAA-EEE-NNNN`, fewer as a plain number.
        skip_white_space: Whether an answer begins at the first character that is not white space; otherwise
            a line break at its beginning ends it.
        worked_examples: Whether `reversed` has two worked examples before its question, as `standard` always
            has; false for models that were trained without them.
        seed: Seed of the books; the suite's where absent.
        tokenizer: Folder or hub id of the tokenizer that counts `lengths`; the members' where absent.
    """

    SHAPE: ClassVar = CellShape(
        (frozenset({"format", "entries"}), frozenset({"format", "length"})),
        optional=frozenset({"prompt"}),
        metrics=frozenset({"exact_match"}),
        columns=frozenset({"book_entries", "place", "source", "digits"}),
    )

    kind: Literal["phonebook"] = "phonebook"
    formats: list[prompts.Format] = Field(default=["standard", "reversed"], min_length=1)
    entries: list[Count] | None = Field(default=None, min_length=1, max_length=100)
    lengths: list[Tokens] | None = Field(default=None, min_length=1, max_length=100)
    books: Annotated[int, Whole, Field(ge=1, le=10_000)] = 20
    queries: Annotated[int, Whole, Field(ge=1, le=10_000)] = 5
    depths: list[Annotated[int, Whole, Field(ge=0, le=100)]] | None = Field(default=None, min_length=1)
    data: Address | None = None
    digits: Annotated[int, Field(ge=2, le=DIGITS)] = DIGITS
    perturb: list[Perturbed] = Field(default_factory=list)
    skip_white_space: bool = True
    worked_examples: bool = True

    _each_once = field_validator("formats", "entries", "lengths", "depths", "perturb")(each_once)

    @model_validator(mode="after")
    def _one_size_unit(self) -> PhonebookEntry:
        if (self.entries is None) == (self.lengths is None):
            raise ValueError(
                "the size of a phonebook is given in entries or in lengths (tokens), one of the two: "
                "entries: [20, 50, 100]"
            )
        if self.formats == ["copy"] and "answer_prefix" in self.perturb:
            raise ValueError(
                "perturb: answer_prefix would change none of the prompts, since a copied entry has no "
                "'Answer:': take it out, or add another format"
            )
        return self

    @property
    def counts_tokens(self) -> bool:
        """Whether the books are fitted to a length in tokens."""
        return self.lengths is not None

    def check(self) -> None:
        """Make a book of every format at the smallest and largest size, and the books that might not fit.

        Raises:
            RequestError: A size is too small for its questions or needs more names than there are, or there
                is no tokenizer to count tokens with.
        """
        if "answer_prefix" in self.perturb and "copy" in self.formats:
            _log.warning("perturb: answer_prefix is left out of copy, since a copied entry has no 'Answer:'.")
        layout = self._layout
        for form in self.formats:
            if self.entries is not None:
                for entries in {min(self.entries), max(self.entries)}:
                    next(items_by_entries(self.seed or 0, form, entries, 1, layout))
            elif self.lengths is not None:
                count = required_counter(self.tokenizer, "Phonebook")
                check_by_length(self.seed or 0, form, min(self.lengths), self.books, layout, count)
                check_by_length(self.seed or 0, form, max(self.lengths), 1, layout, count)

    def longest_inputs(self) -> dict[str, int]:
        """Tokens of the longest items, answer included, where books are as large as fits."""
        return {"lengths": max(self.lengths)} if self.lengths is not None else {}

    def part_of_every_variant(self) -> str | None:
        """The first prompt about the smallest book, in the format whose prompts are shortest."""
        if self.entries is None:
            return None
        books = (
            items_by_entries(self.seed or 0, form, min(self.entries), 1, self._layout)
            for form in self.formats
        )
        return min((str(next(book)["prompt"]) for book in books), key=len)

    def variants(self) -> list[Variant]:
        """One variant for each format and size.

        Chance is that of naming any one entry of the book. For lengths in tokens it is not known before the
        books are made.
        """
        sizes = [("entries", one) for one in self.entries or ()] + [
            ("length", one) for one in self.lengths or ()
        ]
        metadata = {
            "books": self.books,
            "queries": self.queries,
            "depths": self.depths,
            "limit": self.limit,
            "seed": self.seed or 0,
            "tokenizer": self.tokenizer,
            "data": self.data,
            "digits": self.digits,
            "skip_white_space": self.skip_white_space,
            "worked_examples": self.worked_examples,
        }
        plain = [
            Variant(
                name=f"{form}-{size}{'entries' if unit == 'entries' else 'tokens'}",
                labels={"format": form, unit: size},
                work=LmEval([f"archbench_phonebook_{form}"], metadata=metadata | {unit: size}),
                metric="exact_match",
                chance=1 / (size - prompts.EXAMPLES) if unit == "entries" else None,
            )
            for form in self.formats
            for unit, size in sizes
        ]
        # The copied entry has neither a question nor an answer's beginning.
        return plain + [
            one.perturbed(how)
            for one in plain
            for how in self.perturb
            if how != "answer_prefix" or one.labels["format"] != "copy"
        ]

    def digest(self) -> str:
        """Hex SHA-256 of what makes the items, the tokenizer's content included, and of the code version."""
        pool = pool_of(self.data, self.digits)
        names = None if self.data is None else [pool.name(at) for at in range(pool.names)]
        parts: list[Any] = [
            prompts.VERSION,
            scoring.VERSION,
            self.books,
            self.queries,
            self.depths,
            self.limit,
            self.seed or 0,
        ]
        parts += [self.tokenizer_digest(), names, self.digits]
        parts += [self.skip_white_space, self.worked_examples]
        return digest(parts, spaces=True)

    @property
    def _layout(self) -> Layout:
        depths = None if self.depths is None else tuple(self.depths)
        return Layout(self.queries, depths, pool_of(self.data, self.digits), self.worked_examples)
