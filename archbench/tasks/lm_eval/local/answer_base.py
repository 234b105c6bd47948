"""Answers of known tasks that are numbers of options, and what they are counted from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from archbench.errors import RequestError, amount
from archbench.tasks.entry import ENTRY
from archbench.tasks.files.rows import Row
from archbench.tasks.lm_eval.local.columns import columns_of
from archbench.tasks.lm_eval.local.relations import options_of


class Numbered(NamedTuple):
    """Where a data set's answers are, and what they are counted from."""

    column: str
    base: int


_NUMBERED = {
    "winogrande": Numbered("answer", 1),
    "piqa": Numbered("label", 0),
    "hellaswag": Numbered("label", 0),
}


def numbered(task: str) -> Numbered | None:
    """Where an lm-eval task's answers are numbers of options; None where they are not or not known to be."""
    if task.startswith("mmlu_") and columns_of(task):
        return Numbered("answer", 0)
    return _NUMBERED.get(task)


def check_numbered(task: str) -> None:
    """Make sure that `answer_base` means something for a task.

    Raises:
        RequestError: It does not.
    """
    if numbered(task) is None:
        raise RequestError(
            f"answer_base: the answers of lm-eval's task '{task}' are not known to be numbers of options; it "
            f"is for {', '.join(_NUMBERED)} and mmlu. Take answer_base out of the entry, or put '{task}' "
            "into one of its own."
        )


def rebased(task: str, rows: list[Row], base: int | None, where: str) -> list[Row]:
    """Rows as the data set has them, from rows whose answers are counted from `base`; None changes none.

    Raises:
        RequestError: An answer is no number of an option, counted so.
    """
    found = numbered(task)
    if found is None or base is None or base == found.base:
        return rows
    what, fits = columns_of(task)[found.column]
    moved = []
    for number, row in enumerate(rows, start=1):
        value = row.get(found.column)
        if value is not None and not fits(_moved(value, found.base - base)):
            raise RequestError(
                f"{where}, row {number}, column '{found.column}': with answer_base: {base}, {what} is "
                f"expected, each {'one more' if base > found.base else 'one less'}, but it is {value!r}."
            )
        moved.append({**row, found.column: _moved(value, found.base - base)})
    return moved


def base_note(task: str, rows: Sequence[Row]) -> str | None:
    """The note on answers that could be counted from 0 or from 1; None where it is clear."""
    found = numbered(task)
    if found is None or not rows:
        return None
    numbers = [int(row[found.column]) for row in rows]
    options = max(len(options_of(task, row)) for row in rows)
    # Both ways of counting have these: neither the first from 0 nor the last from 1.
    if not set(numbers) <= set(range(1, options)):
        return None
    return (
        f"{'All' if len(numbers) > 1 else 'The'} {amount(len(numbers), 'answer')} of '{task}' (column "
        f"'{found.column}') are numbers from {min(numbers)} "
        f"to {max(numbers)}, so they could be counted from 0 or from 1. They are read as counted from "
        f"{found.base}, as in the data set itself: if that is right, use "
        f"--set {ENTRY}.answer_base={found.base}, else --set {ENTRY}.answer_base={1 - found.base}."
    )


def _moved(value: Any, by: int) -> Any:
    """A number, or a number in a text, plus `by`; anything else unchanged, for `check_rows`."""
    if type(value) is int:
        return value + by
    return str(int(value) + by) if isinstance(value, str) and value in {"0", "1", "2", "3", "4"} else value
