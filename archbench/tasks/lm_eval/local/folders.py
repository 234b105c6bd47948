"""Local rows that stand in for a data set of lm-eval's: read, checked, and what stands out about them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from archbench.errors import RequestError, amount
from archbench.tasks.files.alike import folded
from archbench.tasks.files.duplicates import (
    check_splits_differ,
    duplicate_examples,
    duplicate_questions,
    leaked_questions,
)
from archbench.tasks.files.rows import Row
from archbench.tasks.lm_eval.declared import (
    CLASSES,
    declared,
    evaluated_split,
    has_own_shots,
    named_split,
    shots_split,
)
from archbench.tasks.lm_eval.local.answer_base import base_note, check_numbered, rebased
from archbench.tasks.lm_eval.local.columns import check_rows, columns_of
from archbench.tasks.lm_eval.local.relations import options_of
from archbench.tasks.lm_eval.local.splits import holdings, split_rows

_ANSWERS = ("answer", "answerKey", "answers", "label", "final_decision")
_NUMBERING = {"id", "idx", "ind", "index", "qid", "question_id", "source_id", "subject"}


def check_folder(entry: Any, folder: str, shots: int, where: str, base: int | None = None) -> list[str]:
    """Read a task's files and make sure that they hold what it reads.

    Args:
        entry: The task, from lm-eval's index.
        folder: The folder.
        shots: Largest number of shots.
        where: The suite's key that names the folder, for messages.
        base: What answers that are numbers are counted from; None as the data set's own.

    Returns:
        What stands out about them, a paragraph each.

    Raises:
        RequestError: A split is missing, a row is not as expected, there are too few shots, or shots are the
            questions themselves.
    """
    task, name = declared(entry), entry.name
    if evaluated_split(task) is None or ("class" in task and name not in CLASSES):
        raise RequestError(
            f"{where}: lm-eval's task '{name}' makes its data in code, so local files cannot stand in "
            "for them. Take the task out of `data`."
        )
    if base is not None:
        check_numbered(name)
    shot_split = shots_split(task) if shots and not has_own_shots(task) else None
    splits: dict[str, list[Row]] = {}
    for split in dict.fromkeys(one for one in (evaluated_split(task), shot_split) if one is not None):
        rows = rows_of(task, name, folder, split, where, base)
        if rows is None:
            use = "the evaluated questions" if split == evaluated_split(task) else f"the {shots} shots"
            raise RequestError(
                f"{where}: the folder has no {split} split, which holds {use} of lm-eval's '{name}'; "
                f"{split}.parquet, {split}.jsonl or {split}.json is expected in {folder}. It holds "
                f"{holdings(folder, task.get('dataset_name'))}."
            )
        check_rows(f"{where}, split {split}", rows, columns_of(name), name)
        dataset_of(f"{where}, split {split}", rows)
        # lm-eval draws a spare shot, in case it draws the question itself, wherever the YAML's split for
        # shots is the test split; both are None in some tasks.
        most = len(rows) - (named_split(task) == task.get("test_split"))
        if split == shot_split and most < shots:
            raise RequestError(
                f"{where}: {amount(shots, 'shot is', 'shots are')} requested, but the {split} split has "
                f"{amount(len(rows), 'row')} for "
                f"'{name}'. Use at most {most}."
            )
        splits[split] = rows
    return _notes(name, where, splits, str(evaluated_split(task)), shot_split, base)


def rows_of(
    task: Mapping[str, Any], name: str, folder: str, split: str, where: str, base: int | None
) -> list[Row] | None:
    """Rows of a split; of one file for all of MMLU, those of the subject that the configuration names.

    Args:
        task: What the task declares.
        name: Its name.
        folder: The folder.
        split: The split.
        where: What the rows are for, for messages.
        base: What answers that are numbers are counted from; None as the data set's own.

    Raises:
        RequestError: A file cannot be read, or no row is of the subject.
    """
    config = task.get("dataset_name")
    rows = split_rows(where, folder, config, split)
    if rows and config is not None and all("subject" in row for row in rows):
        subjects = {row["subject"] for row in rows}
        if subjects != {""}:
            rows = [row for row in rows if row["subject"] == config]
            if not rows:
                raise RequestError(
                    f"{where}: no row of the {split} split has the subject '{config}'. The file has "
                    f"{', '.join(sorted(map(str, subjects))[:8])}; name the subjects' own tasks "
                    "(mmlu_anatomy, ...) where not all are there."
                )
    return rebased(name, rows, base, f"{where}, split {split}") if rows else rows


def dataset_of(where: str, rows: Sequence[Row]) -> Any:
    """A `datasets.Dataset` of rows that all have the same columns, each with values of one kind.

    Raises:
        RequestError: A row has other columns than the first, which would be dropped or filled up, or a column
            has values of several kinds.
    """
    import datasets
    import pyarrow

    for number, row in enumerate(rows, start=1):
        if row.keys() != rows[0].keys():
            odd = sorted(map(str, row.keys() ^ rows[0].keys()))
            has = f"has the column '{odd[0]}', which row 1 has not"
            lacks = f"has no column '{odd[0]}', which row 1 has"
            raise RequestError(
                f"{where}, row {number} {has if odd[0] in row else lacks}. Every row must have the same "
                "columns; write null where there is nothing."
            )
    try:
        return datasets.Dataset.from_list(list(rows))
    except (pyarrow.ArrowException, OverflowError) as error:
        raise RequestError(f"{where}: {_mixed(rows) or ' '.join(str(error).split())}") from error


def _mixed(rows: Sequence[Row]) -> str | None:
    """Which column has values of several kinds, and where."""
    for column in rows[0]:
        first: dict[type, int] = {}
        for number, row in enumerate(rows, start=1):
            if row[column] is not None:
                first.setdefault(type(row[column]), number)
        if len(first) > 1:
            (one, at), (other, there), *_ = first.items()
            return (
                f"column '{column}' has values of several kinds: {one.__name__} in row {at}, "
                f"{other.__name__} in row {there}. Write all in one way."
            )
    return None


def _notes(
    name: str,
    where: str,
    splits: Mapping[str, list[Row]],
    evaluated: str,
    shots: str | None,
    base: int | None,
) -> list[str]:
    keys = {split: [_content(name, row) for row in rows] for split, rows in splits.items()}
    rows = splits[evaluated]
    names = [f"{name}:{number}" for number in range(len(rows))]
    right = [_right(row) for row in rows]
    everything = [row for some in splits.values() for row in some]
    found = [
        base_note(name, everything) if base is None else None,
        duplicate_questions(keys[evaluated], names, right),
    ]
    if shots is not None and shots != evaluated:
        check_splits_differ(keys[evaluated], keys[shots], (f"{where}, split {evaluated}", f"split {shots}"))
        found.append(leaked_questions(keys[evaluated], keys[shots], names, f"split {shots}"))
        numbers = [f"row {number}" for number in range(1, len(splits[shots]) + 1)]
        known = [_right(row) for row in splits[shots]]
        found.append(duplicate_examples(keys[shots], numbers, known, f"split {shots}"))
    options = [options_of(name, row) for row in rows]
    if twins := [at for at, one in enumerate(options) if len(set(one)) < len(one)]:
        found.append(
            f"{len(twins)} of {amount(len(rows), 'question')} of '{name}' have two options with the same "
            "text (the "
            f"first: {names[twins[0]]}); they are kept as they are."
        )
    return [note for note in found if note is not None]


def _right(row: Row) -> str:
    """A row's right answer, to be compared."""
    return json.dumps(folded([row.get(one) for one in _ANSWERS]), default=str)


def _content(name: str, row: Row) -> str:
    """What makes a row the same question as another: what the task reads, or all but its number.

    White space and case make no difference.
    """
    known = [column for column in columns_of(name) if column not in {*_ANSWERS, *_NUMBERING}]
    kept = {column: row.get(column) for column in known or sorted({*row} - _NUMBERING - {*_ANSWERS})}
    return json.dumps(folded(kept), sort_keys=True, default=str)
