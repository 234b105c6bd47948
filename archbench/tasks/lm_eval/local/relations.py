"""How the columns of a known task's row must fit together: right answers that exist, options that differ."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from typing import Any

from archbench.errors import amount
from archbench.tasks.files.rows import Row


def contradiction(task: str, row: Row) -> str | None:
    """What in a row contradicts something else in it; None where nothing does, or the task is not known.

    Args:
        task: The lm-eval task.
        row: A row whose columns are as `archbench.tasks.lm_eval.local.columns` expects.
    """
    check = _CHECKS.get("mmlu" if task.startswith("mmlu_") else task)
    return check(row) if check is not None else None


def options_of(task: str, row: Row) -> list[str]:
    """The options of a row's question; none where it has none or the task is not known."""
    find = _OPTIONS.get("mmlu" if task.startswith("mmlu_") else task)
    return [str(option).strip() for option in find(row)] if find is not None else []


def _labelled(row: Row) -> str | None:
    texts, labels = row["choices"]["text"], row["choices"]["label"]
    if len(texts) != len(labels):
        return f"`choices` has {amount(len(texts), 'text')} and {amount(len(labels), 'label')}"
    if len(set(labels)) < len(labels):
        return f"`choices` has a label twice ({', '.join(map(str, labels))})"
    if row["answerKey"] not in labels:
        return (
            f"`answerKey` is {row['answerKey']!r}, which is none of the labels {', '.join(map(str, labels))}"
        )
    return None


def _ending(row: Row) -> str | None:
    if int(row["label"]) >= len(row["endings"]):
        return f"`label` is {row['label']}, counted from 0, but there are {len(row['endings'])} `endings`"
    return None


def _truths(column: str, only_first: bool) -> Callable[[Row], str | None]:
    def check(row: Row) -> str | None:
        choices, labels = row[column]["choices"], row[column]["labels"]
        if len(choices) != len(labels):
            return f"`{column}` has {amount(len(choices), 'choice')} and {amount(len(labels), 'label')}"
        true = labels.count(1)
        # lm-eval goes by position: the first is right (mc1), or all before the first wrong one (mc2).
        fits = true == 1 if only_first else 0 < true < len(labels)
        if labels != [1] * true + [0] * (len(labels) - true) or not fits:
            wanted = "1 for the first choice and 0 for the others" if only_first else "first 1s, then 0s"
            return f"the labels of `{column}` must be {wanted}, and they are {labels}"
        return None

    return check


def _problems(row: Row) -> str | None:
    try:
        last = ast.literal_eval(row["problems"])[-1]
        fits = last["answer"] in "ABCD" and len(last["options"]) == 4 and isinstance(last["question"], str)
    except (ValueError, SyntaxError, TypeError, LookupError, RecursionError, MemoryError):
        fits = False
    if not fits:
        return (
            "`problems` must be the text of a list of objects with `question`, four `options` and an "
            "`answer` from A to D, as in EleutherAI/race"
        )
    return None


def _letters(row: Row) -> str | None:
    for letter, choice in zip("ABCD", row["choices"], strict=True):
        if row.get(letter) not in (None, "", choice):
            return f"column '{letter}' has {row[letter]!r}, and option {letter} of `choices` is {choice!r}"
    if row.get("E") not in (None, ""):
        return f"column 'E' has {row['E']!r}, and `choices` has 4 options, A to D"
    return None


_CHECKS: Mapping[str, Callable[[Row], str | None]] = {
    "arc_easy": _labelled,
    "arc_challenge": _labelled,
    "openbookqa": _labelled,
    "hellaswag": _ending,
    "truthfulqa_mc1": _truths("mc1_targets", only_first=True),
    "truthfulqa_mc2": _truths("mc2_targets", only_first=False),
    "race": _problems,
    "mmlu": _letters,
}
_OPTIONS: Mapping[str, Callable[[Row], list[Any]]] = {
    "winogrande": lambda row: [row["option1"], row["option2"]],
    "piqa": lambda row: [row["sol1"], row["sol2"]],
    "hellaswag": lambda row: row["endings"],
    "arc_easy": lambda row: row["choices"]["text"],
    "arc_challenge": lambda row: row["choices"]["text"],
    "openbookqa": lambda row: row["choices"]["text"],
    "truthfulqa_mc1": lambda row: row["mc1_targets"]["choices"],
    "truthfulqa_mc2": lambda row: row["mc2_targets"]["choices"],
    "mmlu": lambda row: row["choices"],
}
