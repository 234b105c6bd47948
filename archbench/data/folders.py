"""A user's folder of text, read whole into documents: what could be read in two ways is refused.

| ending | a document is |
|---|---|
| `.txt`, `.md` | a file, or each part between two separators |
| `.jsonl` | the text column of a line, which is a JSON object |
| `.parquet` | the text column of a row |
| none: a folder that `datasets` saved (`save_to_disk`) | the text column of a row |
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from archbench.errors import RequestError, did_you_mean
from archbench.formats.json_file import parse_json
from archbench.formats.text import read_text
from archbench.paths import nearest_folder

_TEXTS = (".txt", ".md")
_ROWS = (".jsonl", ".parquet")
_ENDINGS = (*_TEXTS, *_ROWS)
_SHOWN = 3


@dataclass(frozen=True)
class Reading:
    """How a folder is read.

    Attributes:
        folder: The folder.
        where: File and key that name it, for error messages.
        files: Which files of it, as a glob pattern; all where None.
        column: Column or key that holds the text of rows.
        separator: What stands between two documents of one text file; None where each file is one.
        dataset_split: Which split of a saved dataset.
    """

    folder: Path
    where: str
    files: str | None = None
    column: str = "text"
    separator: str | None = None
    dataset_split: str | None = None


@dataclass
class Found:
    """What a folder holds.

    Attributes:
        documents: The texts, in UTF-8.
        files: Number of files by ending.
        blank: How many rows held no text, and so are no documents.
    """

    documents: list[bytes] = field(default_factory=list)
    files: Counter[str] = field(default_factory=Counter)
    blank: int = 0


def read_folder(reading: Reading) -> Found:
    """Read all documents of a folder.

    Raises:
        RequestError: There is no such folder, nothing to read in it, or something that cannot be read as
            text in one way alone.
    """
    folder = reading.folder
    if not folder.is_dir():
        what = "is a file, and a folder is expected" if folder.is_file() else "does not exist"
        near = "" if folder.is_file() else f" {nearest_folder(folder)}"
        raise RequestError(
            f"{reading.where}.folder: {folder} {what}. A relative folder starts from the family file.{near}"
        )
    found = Found()
    try:
        if (folder / "dataset_dict.json").is_file() or (folder / "state.json").is_file():
            _take_dataset(reading, found)
        else:
            for path in _chosen(reading):
                found.files[path.suffix.lower()] += 1
                _take_file(path, reading, found)
    except OSError as error:
        raise RequestError(
            f"{error.filename or folder} cannot be read: {error.strerror or error}."
        ) from error
    if not found.documents:
        raise RequestError(
            f"{reading.where}.folder: the rows of {folder} hold no text, all {found.blank:,} of them."
        )
    return found


def _chosen(reading: Reading) -> list[Path]:
    """The files to read, sorted by name; hidden ones are none of them."""
    folder = reading.folder
    there = [path for path in sorted(folder.rglob("*")) if not _hidden(path.relative_to(folder))]
    for path in there:
        if path.is_symlink() and path.is_dir():
            raise RequestError(
                f"{reading.where}.folder: {path} is a link to a folder, which is not followed. Put the "
                "folder itself there, or name it as a part of a mix."
            )
    files = [path for path in there if not path.is_dir()]
    if reading.files is not None:
        try:
            named = set(folder.glob(reading.files))
        except (ValueError, NotImplementedError) as error:
            raise RequestError(f"{reading.where}.files: {reading.files!r} is no pattern: {error}.") from None
        chosen = [path for path in files if path in named]
    else:
        chosen = files
    if not chosen:
        pattern = f" whose name fits '{reading.files}'" if reading.files else ""
        raise RequestError(
            f"{reading.where}.folder: {folder} holds no file{pattern}. Put text in UTF-8 there, in files "
            f"that end in {', '.join(_ENDINGS)}."
        )
    _check_kinds(chosen, reading)
    return chosen


def _hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _check_kinds(files: list[Path], reading: Reading) -> None:
    """Refuse files of which it is not clear that they are text to train on."""
    others = [path for path in files if path.suffix.lower() not in _ENDINGS]
    if others:
        shown = ", ".join(path.relative_to(reading.folder).as_posix() for path in others[:_SHOWN])
        more = f" and {len(others) - _SHOWN:,} more" if len(others) > _SHOWN else ""
        raise RequestError(
            f"{reading.where}.folder: {reading.folder} also holds files that end in none of "
            f"{', '.join(_ENDINGS)}: {shown}{more}. Convert them or move them away, or name the files to "
            "read with `files`, like files: '**/*.txt'."
        )
    texts = [path for path in files if path.suffix.lower() in _TEXTS]
    rows = [path for path in files if path.suffix.lower() in _ROWS]
    if texts and rows and reading.files is None:
        raise RequestError(
            f"{reading.where}.folder: {reading.folder} holds text files ({texts[0].name}) next to files of "
            f"rows ({rows[0].name}), and whether all are meant to be trained on is not clear. Say it with "
            "`files`: '**/*' for all, '**/*.parquet' for one kind."
        )


def _take_file(path: Path, reading: Reading, found: Found) -> None:
    if not path.stat().st_size:
        raise RequestError(f"{path} is empty. Delete it or fill it.")
    if path.suffix.lower() == ".jsonl":
        return _take_rows(path, _jsonl(path), reading, found)
    if path.suffix.lower() == ".parquet":
        return _take_rows(path, _parquet(path, reading), reading, found)
    text = read_text(path)
    parts = [text] if reading.separator is None else text.split(reading.separator)
    documents = [part.encode() for part in parts if part.strip()]
    if not documents:
        raise RequestError(f"{path} holds nothing but white space and separators. Delete it or fill it.")
    found.documents += documents
    return None


def _take_rows(path: Path, rows: Iterator[tuple[str, Any]], reading: Reading, found: Found) -> None:
    for place, row in rows:
        if not isinstance(row, dict):
            raise RequestError(f"{path}, {place}: a JSON object is expected, and it is {type(row).__name__}.")
        if reading.column not in row:
            hint = did_you_mean(reading.column, map(str, row), label="Its columns")
            raise RequestError(
                f"{path}, {place} has no column '{reading.column}'. {hint} Name the one that holds the text "
                f"with {reading.where}.column."
            )
        text = row[reading.column]
        if not isinstance(text, str):
            raise RequestError(
                f"{path}, {place}: '{reading.column}' holds "
                f"{'nothing' if text is None else repr(text)[:40]}, and text is expected. Name the column "
                f"that holds the text with {reading.where}.column."
            )
        if not text.strip():
            found.blank += 1
            continue
        try:
            found.documents.append(text.encode())
        except UnicodeEncodeError:
            raise RequestError(
                f"{path}, {place}: '{reading.column}' holds half of a character (a lone surrogate), which "
                "is no text. Mend or remove the row."
            ) from None


def _jsonl(path: Path) -> Iterator[tuple[str, Any]]:
    # By line feeds alone: other characters that Python takes for line ends stand inside texts.
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        if line.strip():
            try:
                row = parse_json(line)
            except ValueError as error:
                raise RequestError(f"{path}, line {number} is not JSON: {error}.") from error
            yield f"line {number}", row


def _parquet(path: Path, reading: Reading) -> Iterator[tuple[str, Any]]:
    import pyarrow
    import pyarrow.parquet

    number = 0
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            names = file.schema_arrow.names
            if names.count(reading.column) > 1:
                raise RequestError(
                    f"{path} has the column '{reading.column}' {names.count(reading.column)} times."
                )
            # Without it the first row says what is missing and what there is.
            columns = [reading.column] if reading.column in names else names
            for batch in file.iter_batches(columns=columns):
                for row in batch.to_pylist():
                    number += 1
                    yield f"row {number}", row
    except (pyarrow.ArrowException, UnicodeDecodeError) as error:
        why = " ".join(str(error).split())
        raise RequestError(f"{path} cannot be read as parquet: {why}. Is it complete?") from error


def _take_dataset(reading: Reading, found: Found) -> None:
    """Documents of a folder that `datasets` saved."""
    from datasets import DatasetDict, load_from_disk

    folder, where = reading.folder, reading.where
    try:
        data = load_from_disk(str(folder))
    except Exception as error:  # datasets raises whatever its readers do
        raise RequestError(
            f"{where}.folder: {folder} looks like a dataset that `datasets` saved, and cannot be loaded: "
            f"{type(error).__name__}: {' '.join(str(error).split())}. Is it complete?"
        ) from error
    if isinstance(data, DatasetDict):
        if reading.dataset_split not in data:
            hint = did_you_mean(reading.dataset_split or "", data, label="Its splits")
            raise RequestError(
                f"{where}.dataset_split: the dataset in {folder} has several splits, and which one to train "
                f"on must be named. {hint}"
            )
        data = data[reading.dataset_split]
    elif reading.dataset_split is not None:
        raise RequestError(f"{where}.dataset_split: the dataset in {folder} has no splits; leave it out.")
    found.files["saved dataset"] += 1
    if reading.column in data.column_names:
        data = data.select_columns([reading.column])
    _take_rows(folder, ((f"row {n}", row) for n, row in enumerate(data, start=1)), reading, found)
