"""Which option a right answer in the data names: a letter, or a number counted from 0 or from 1."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Literal

from archbench.errors import RequestError, amount
from archbench.schema import Whole
from archbench.tasks.entry import ENTRY
from archbench.tasks.mmlu.prompts import LETTERS
from archbench.tasks.mmlu.splits import Split

Base = Annotated[Literal[0, 1], Whole]


def number_in(value: Any) -> int | None:
    """The number that an answer is; None where it is none."""
    # By type, not by equality: True and 1.0 are equal to 1 but mean something else.
    if type(value) is int:
        return value
    text = value.strip() if isinstance(value, str) else ""
    return int(text) if text in {str(number) for number in range(len(LETTERS) + 1)} else None


def option_of(value: Any, base: Base | None, at: str) -> int:
    """Index of the option that an answer names.

    Args:
        value: The answer.
        base: What numbers are counted from; None where not specified, which is read as 0.
        at: The place in the file, for messages.

    Raises:
        RequestError: It names none.
    """
    first, number = base or 0, number_in(value)
    if number is not None and first <= number < first + len(LETTERS):
        return number - first
    if _is_letter(value):
        return LETTERS.index(value.strip())
    text = repr(value)
    hint = ""
    if number == len(LETTERS) and base is None:
        hint = f" If answers are counted from 1, set it with --set {ENTRY}.answer_base=1."
    raise RequestError(
        f"{at}, column 'answer': an index from {first} to {first + len(LETTERS) - 1} or a letter from A to "
        f"{LETTERS[-1]} is expected, but it is {type(value).__name__} "
        f"{text if len(text) <= 60 else text[:57] + '...'}.{hint}"
    )


def _is_letter(value: Any) -> bool:
    return isinstance(value, str) and value.strip() in list(LETTERS)


def check_one_notation(split: Split) -> None:
    """Make sure that a split has either letters or numbers as answers.

    Raises:
        RequestError: It has both, so that it is even less clear what the numbers are counted from.
    """
    first: dict[bool, tuple[str, Any]] = {}
    for where, row in split.rows:
        value = row.get("answer")
        if number_in(value) is not None or _is_letter(value):
            first.setdefault(number_in(value) is not None, (where, value))
    if len(first) > 1:
        (where, number), (other, text) = first[True], first[False]
        raise RequestError(
            f"{split.name}, column 'answer': {where} has the number {number!r} and {other} has the letter "
            f"{text!r}. Write all answers in one way, or state what the numbers are counted from with "
            f"--set {ENTRY}.answer_base=0 or 1."
        )


def base_note(splits: Iterable[Split]) -> str | None:
    """The note for answers that are numbers counted from 0 or from 1, which is unclear; else None."""
    found = [number_in(row.get("answer")) for split in splits for _, row in split.rows]
    numbers = [number for number in found if number is not None]
    if not numbers or 0 in numbers:
        return None
    return (
        f"{'All' if len(numbers) > 1 else 'The'} "
        f"{amount(len(numbers), 'answer is a number', 'answers are numbers')} from {min(numbers)} to "
        f"{max(numbers)}, so they could be "
        "counted from 0 or from 1. They are read as counted from 0 (1 means option B): if that is right, use "
        f"--set {ENTRY}.answer_base=0, else --set {ENTRY}.answer_base=1."
    )
