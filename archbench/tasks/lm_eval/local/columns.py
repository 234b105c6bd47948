"""What lm-eval's prompts and scores of known tasks read, and whether rows hold it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from archbench.errors import RequestError, did_you_mean
from archbench.tasks.files.rows import Row
from archbench.tasks.lm_eval.local.relations import contradiction

Shape = tuple[str, Callable[[Any], bool]]
"""What a column should hold: in words, and whether a value does."""


def _texts(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(one, str) for one in value)


def _has(value: Any, *keys: str) -> bool:
    return isinstance(value, Mapping) and all(isinstance(value.get(key), list) for key in keys)


def _one_of(*values: Any) -> Shape:
    # By type too: True and 1.0 are equal to 1 but mean something else.
    known = {(type(value), value) for value in values}
    return f"one of {', '.join(map(repr, values))}", lambda value: (type(value), value) in known


_TEXT: Shape = ("text", lambda value: isinstance(value, str))
_LIST: Shape = ("a list of texts", _texts)
_OPTIONS: Shape = ("an object with the lists `text` and `label`", lambda value: _has(value, "text", "label"))
_TARGETS: Shape = (
    "an object with the lists `choices` and `labels`",
    lambda value: _has(value, "choices", "labels"),
)
_ARC = {"question": _TEXT, "choices": _OPTIONS, "answerKey": _TEXT}
_TRUTHFUL = {"question": _TEXT}
_MMLU: dict[str, Shape] = {
    "question": _TEXT,
    "choices": ("a list of 4 texts", lambda value: _texts(value) and len(value) == 4),
    "answer": _one_of(0, 1, 2, 3),
}

COLUMNS: Mapping[str, Mapping[str, Shape]] = {
    "winogrande": {
        "sentence": ("a text with a gap _", lambda value: isinstance(value, str) and "_" in value),
        "option1": _TEXT,
        "option2": _TEXT,
        "answer": _one_of("1", "2"),
    },
    "piqa": {"goal": _TEXT, "sol1": _TEXT, "sol2": _TEXT, "label": _one_of(0, 1)},
    "hellaswag": {
        "activity_label": _TEXT,
        "ctx_a": _TEXT,
        "ctx_b": _TEXT,
        "endings": _LIST,
        "label": _one_of("0", "1", "2", "3", 0, 1, 2, 3),
    },
    "arc_easy": _ARC,
    "arc_challenge": _ARC,
    "openbookqa": {"question_stem": _TEXT, "choices": _OPTIONS, "answerKey": _TEXT},
    "truthfulqa_mc1": {**_TRUTHFUL, "mc1_targets": _TARGETS},
    "truthfulqa_mc2": {**_TRUTHFUL, "mc2_targets": _TARGETS},
    "pubmedqa": {"QUESTION": _TEXT, "CONTEXTS": _LIST, "final_decision": _one_of("yes", "no", "maybe")},
    "race": {
        "article": _TEXT,
        "problems": ("a list of problems in a text", lambda value: isinstance(value, str)),
    },
    "nq_open": {"question": _TEXT, "answer": _LIST},
    "squadv2": {
        "id": _TEXT,
        "title": _TEXT,
        "context": _TEXT,
        "question": _TEXT,
        "answers": ("an object with the list `text`", lambda value: _has(value, "text")),
    },
}
"""Columns that lm-eval's prompts and scores of the standard twelve read, as their data sets have them."""


def columns_of(task: str) -> Mapping[str, Shape]:
    """Columns that an lm-eval task reads; none where it is not known."""
    return _MMLU if re.fullmatch(r"mmlu_(?!.*(pro|cot|flan|cont|gen)).*", task) else COLUMNS.get(task, {})


def check_rows(where: str, rows: Sequence[Row], columns: Mapping[str, Shape], task: str) -> None:
    """Make sure that every row has what a task reads.

    Args:
        where: The split, for messages.
        rows: Its rows.
        columns: What each column should hold.
        task: The lm-eval task that reads them.

    Raises:
        RequestError: A row lacks a column, holds something else in it, or contradicts itself.
    """
    for number, row in enumerate(rows, start=1):
        for column, (what, fits) in columns.items():
            if row.get(column) is None:
                hint = did_you_mean(column, [str(key) for key in row], label="Columns")
                raise RequestError(
                    f"{where}, row {number}: there is no column '{column}' ({what}); expected are "
                    f"{', '.join(columns)}, the data set's own. {hint}"
                )
            if not fits(row[column]):
                shown = repr(row[column])
                raise RequestError(
                    f"{where}, row {number}, column '{column}': {what} is expected, but it is "
                    f"{type(row[column]).__name__} {shown if len(shown) <= 60 else shown[:57] + '...'}."
                )
        if columns and (why := contradiction(task, row)) is not None:
            raise RequestError(f"{where}, row {number}: {why}.")
