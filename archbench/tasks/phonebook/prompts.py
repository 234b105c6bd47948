r"""The three prompts, one function each: everything that a model reads before it writes the number.

| format | order | source |
|---|---|---|
| standard | book, two examples, question | Waleffe et al. 2024, section 3.3.3, as reported |
| reversed | question, book, question again | the same |
| copy | book, two entries again, name | Jelassi et al. 2024, as in their code |

The book and the question are the same in all three. Wording without a source is ours (docs/phonebook.md).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

from archbench.tasks.perturbations import PREAMBLE, SEPARATOR, Perturbation

Format = Literal["standard", "reversed", "copy"]
FORMATS: tuple[Format, ...] = ("standard", "reversed", "copy")

VERSION = 2
"""Goes into every cell's key: raise it when a change here or in the YAMLs alters a prompt or a score."""

EXAMPLES = 2
"""Entries shown as worked examples, as in both papers."""

# An entry of the book, not an example's answer.
_ENTRY = re.compile(r"(?m)^(?!Answer: )(.+): (\d[\d-]*)$")

Entry = tuple[str, str]
"""Name and number."""


def book_lines(book: Sequence[Entry]) -> str:
    """The book: one `{name}: {number}` per line, without a line break at the end."""
    return "\n".join(f"{name}: {number}" for name, number in book)


def standard(book: str, examples: Sequence[Entry], name: str) -> str:
    r"""The whole book, then worked examples, then the queried name.

        {name}: {number}                        the book, one entry per line
        ...
        {name}: {number}

        What is the phone number for {name}?    an example, of an entry of the book
        Answer: {number}

        What is the phone number for {name}?    another
        Answer: {number}

        What is the phone number for {name}?    the question
        Answer:

    The book comes first, so that all questions about it share their beginning.

    Args:
        book: The book's lines.
        examples: Entries of the book to show.
        name: The queried name.

    Returns:
        The prompt, ending where the number begins.
    """
    return f"{book}\n\n{_worked(examples)}{_question(name)}\nAnswer:"


def reversed_(book: str, examples: Sequence[Entry], name: str, *, worked: bool = True) -> str:
    r"""The queried name first, then the book, then the name again.

        Entries of a phonebook have the form name: number. For example:
        {name}: {number}                        an entry of the book
        {name}: {number}                        another
        ... and so on.

        Find the phone number for {name} in the phonebook below and memorise it.

        Here is the phonebook:
        {name}: {number}                        the book, one entry per line
        ...
        {name}: {number}

        This is the end of the phonebook. You were to memorise the phone number for {name}.

        What is the phone number for {name}?    an example, as in `standard`
        Answer: {number}

        What is the phone number for {name}?    another
        Answer: {number}

        What is the phone number for {name}?    the question
        Answer:

    Without the worked examples, a model that was not trained on this very form may not know that a number is
    to follow (docs/phonebook.md).

    Args:
        book: The book's lines.
        examples: Entries of the book to show.
        name: The queried name.
        worked: Whether they are also shown as questions with answers.

    Returns:
        The prompt, ending where the number begins.
    """
    return (
        "Entries of a phonebook have the form name: number. For example:\n"
        f"{book_lines(examples)}\n... and so on.\n\n"
        f"Find the phone number for {name} in the phonebook below and memorise it.\n\n"
        f"Here is the phonebook:\n{book}\n\n"
        f"This is the end of the phonebook. You were to memorise the phone number for {name}.\n\n"
        f"{_worked(examples) if worked else ''}{_question(name)}\nAnswer:"
    )


def copy(book: str, examples: Sequence[Entry], name: str) -> str:
    r"""The whole book, then two entries again, then the queried name, all in the book's own form.

        {name}: {number}                        the book, one entry per line
        ...
        {name}: {number}

        {name}: {number}                        an entry of the book again
        {name}: {number}                        another

        {name}:                                 the question

    Args:
        book: The book's lines.
        examples: Entries of the book to show.
        name: The queried name.

    Returns:
        The prompt, ending where the number begins.
    """
    return f"{book}\n\n{book_lines(examples)}\n\n{name}:"


def _question(name: str) -> str:
    return f"What is the phone number for {name}?"


def _worked(examples: Sequence[Entry]) -> str:
    return "".join(f"{_question(name)}\nAnswer: {number}\n\n" for name, number in examples)


def perturb(prompt: str, form: Format, how: Perturbation) -> str:
    """A prompt with one thing about it changed: the same book, examples and question.

    Args:
        prompt: What one of the functions above made.
        form: Which.
        how: `delimiter`, `answer_prefix`, `shot_order`, `preamble` or `separator`; see
            `archbench.tasks.perturbations`.
    """
    parts = prompt.split("\n\n")
    if how == "preamble":
        return f"{PREAMBLE}\n\n{prompt}"
    if how == "separator":
        return SEPARATOR.join(parts)
    if how == "answer_prefix":
        return prompt.replace("\nAnswer:", "\nThe number is")
    if how == "delimiter":
        changed = _ENTRY.sub(r"\1 - \2", prompt).replace("the form name: number", "the form name - number")
        return f"{changed[:-1]} -" if form == "copy" else changed
    # All questions but the last are worked examples.
    worked = [at for at, part in enumerate(parts) if part.startswith("What is the phone number for ")][:-1]
    if worked:
        parts[worked[0]], parts[worked[1]] = parts[worked[1]], parts[worked[0]]
    if form == "standard":
        return "\n\n".join(parts)
    place = 1 if form == "copy" else 0
    lines = parts[place].split("\n")
    first = 0 if form == "copy" else 1
    lines[first], lines[first + 1] = lines[first + 1], lines[first]
    parts[place] = "\n".join(lines)
    return "\n\n".join(parts)


def render(form: Format, book: str, examples: Sequence[Entry], name: str, *, worked: bool = True) -> str:
    """The prompt of a format; `worked` is as for `reversed_` and changes no other."""
    if form == "reversed":
        return reversed_(book, examples, name, worked=worked)
    return standard(book, examples, name) if form == "standard" else copy(book, examples, name)
