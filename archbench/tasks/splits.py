"""Local files that stand in for a data set of the hub: splits as parquet, JSONL or JSON in a folder."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from archbench.errors import RequestError, did_you_mean
from archbench.paths import nearest_folder

Row = dict[str, Any]

SUFFIXES = (".parquet", ".jsonl", ".json")
_SHARD = r"(-\d{5}-of-\d{5})?"

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
        "problems": ("a text that spells a list of problems", lambda value: isinstance(value, str)),
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


def split_rows(where: str, folder: str, name: str | None, split: str) -> list[Row] | None:
    """Rows of one split of a data set in a folder.

    Args:
        where: What asks for it (`data of 'arc_easy'`), for messages.
        folder: The folder: files `<split>.parquet`, `.jsonl` or `.json` (a list of objects, or one a line),
            or parquet shards as the hub names them (`test-00000-of-00002.parquet`).
        name: The data set's configuration. A sub-folder of that name comes before the folder.
        split: The split.

    Returns:
        The rows; None where there is no such file.

    Raises:
        RequestError: There is no such folder, more than one file could be the split, or a file is empty or
            cannot be read.
    """
    base = Path(folder).expanduser()
    if not base.is_dir():
        raise RequestError(
            f"{where}: there is no folder '{folder}'. A folder is expected that holds the splits as parquet, "
            f"JSONL or JSON, such as test.jsonl, in the data set's own columns. {nearest_folder(base)}"
        )
    if name is not None and (base / name).is_dir():
        base = base / name
    files = _split_files(base, split)
    if len({path.suffix for path in files}) > 1 or (len(files) > 1 and any(f.stem == split for f in files)):
        found = " and ".join(path.name for path in files)
        raise RequestError(
            f"{where}: {base} holds {found}: which one is the {split} split? Keep one of them and move the "
            "rest elsewhere."
        )
    rows = [row for path in files for row in _rows(path)]
    return rows if files else None


def holdings(folder: str, name: str | None) -> str:
    """What lies in a folder, for messages."""
    base = Path(folder).expanduser()
    base = base / name if name is not None and (base / name).is_dir() else base
    return ", ".join(sorted(path.name for path in base.iterdir())[:8]) or "nothing"


def folder_digest(folder: str) -> str:
    """Hex SHA-256 of the names and content of all data files below a folder."""
    base = Path(folder).expanduser()
    found = hashlib.sha256()
    for path in sorted(path for path in base.rglob("*") if path.suffix in SUFFIXES and path.is_file()):
        with path.open("rb") as stream:
            content = hashlib.file_digest(stream, "sha256").digest()
        found.update(path.relative_to(base).as_posix().encode() + b"\0" + content)
    return found.hexdigest()


def check_rows(where: str, rows: Sequence[Row], columns: Mapping[str, Shape]) -> None:
    """Make sure that every row has what a task reads.

    Args:
        where: The split, for messages.
        rows: Its rows.
        columns: What each column should hold.

    Raises:
        RequestError: A row lacks a column or holds something else in it.
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


def _split_files(folder: Path, split: str) -> list[Path]:
    name = re.compile(re.escape(split) + _SHARD)
    found = [path for path in folder.iterdir() if path.suffix in SUFFIXES and name.fullmatch(path.stem)]
    return sorted(path for path in found if path.is_file())


def _rows(path: Path) -> list[Row]:
    stat = path.stat()
    rows = _read(path, stat.st_size, stat.st_mtime_ns) if stat.st_size else []
    if not rows:
        raise RequestError(f"{path} is empty: at least one row is expected. Delete it or fill it.")
    return rows


@lru_cache(maxsize=8)
def _read(path: Path, size: int, mtime: int) -> list[Row]:
    """Rows of a file; size and time are there so that a changed file is read again."""
    try:
        return _parquet(path) if path.suffix == ".parquet" else _json(path)
    except (OSError, UnicodeDecodeError) as error:
        raise RequestError(f"{path} cannot be read as {path.suffix[1:]}: {error}.") from error


def _parquet(path: Path) -> list[Row]:
    import pyarrow
    import pyarrow.parquet

    try:
        rows: list[Row] = pyarrow.parquet.read_table(path, partitioning=None).to_pylist()
    except pyarrow.ArrowException as error:
        raise RequestError(f"{path} cannot be read as parquet: {error} Is it complete?") from error
    return rows


def _json(path: Path) -> list[Row]:
    text = path.read_text(encoding="utf-8-sig")
    if path.suffix == ".json" and text.lstrip().startswith("["):
        try:
            return _objects(path, enumerate(json.loads(text), start=1), "row")
        except (ValueError, RecursionError) as error:
            raise RequestError(f"{path} is not JSON: {error}.") from error
    # By line feeds alone: other characters that Python takes for line ends stand inside texts.
    lines = ((number, line) for number, line in enumerate(text.split("\n"), start=1) if line.strip())
    return _objects(path, ((number, _parsed(path, number, line)) for number, line in lines), "line")


def _parsed(path: Path, number: int, line: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as error:
        raise RequestError(f"{path}, line {number} is not JSON: {error}.") from error


def _objects(path: Path, values: Iterable[tuple[int, Any]], unit: str) -> list[Row]:
    rows = []
    for number, value in values:
        if not isinstance(value, dict):
            raise RequestError(
                f"{path}, {unit} {number}: a JSON object, one cell per column, is expected, but it is "
                f"{type(value).__name__}."
            )
        rows.append(value)
    return rows
