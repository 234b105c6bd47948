"""Files of rows (parquet, CSV, JSONL, JSON): every cell as it stands, or an error that names the place."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from archbench.errors import RequestError
from archbench.formats.text import read_text
from archbench.tasks.files.alike import look_alike

Row = dict[str, Any]
Located = tuple[str, Row]
"""Where a row is, in words (`row 3`, `line 4`), and its cells by column."""


class DoubledKeyError(ValueError):
    """A JSON object has a key twice, or two that look the same."""


def read_rows(path: Path) -> list[Located]:
    """Read a file of rows. What is returned is shared between calls: leave it as it is.

    Args:
        path: The file; its ending says what it is: `.parquet`, `.csv` (with a header), `.jsonl` (an object a
            line) or `.json` (a list of objects, or one a line). Texts are UTF-8.

    Raises:
        RequestError: The file is empty, is not what its ending says, or has a column, field or key twice, or
            two that look the same.
    """
    try:
        stat = path.stat()
        rows = _read(path, stat.st_size, stat.st_mtime_ns) if stat.st_size else []
    except OSError as error:
        raise RequestError(f"{path} cannot be read: {error.strerror or error}.") from error
    if not rows:
        raise RequestError(f"{path} is empty: at least one row is expected. Delete it or fill it.")
    return rows


def parse_json(text: str) -> Any:
    """As `json.loads`, but a key that comes twice in one object, or looks like another, is an error.

    Raises:
        DoubledKeyError: A key does.
        ValueError: The text is not JSON.
        RecursionError: It is nested too deeply.
    """
    return json.loads(text, object_pairs_hook=_each_key_once)


def _each_key_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        (key, _), *_ = Counter(key for key, _ in pairs).most_common(1)
        raise DoubledKeyError(
            f"the key '{key}' comes twice in one object, and which of its values is meant cannot be known"
        )
    if (alike := look_alike(found)) is not None:
        raise DoubledKeyError(
            f"one object has the keys {alike[0]!r} and {alike[1]!r}, which differ in white space or "
            "invisible characters alone, and which of them is meant cannot be known"
        )
    return found


@lru_cache(maxsize=8)
def _read(path: Path, size: int, mtime: int) -> list[Located]:
    """Rows of a file; size and time are there so that a changed file is read again."""
    readers: dict[str, Callable[[Path], list[Located]]] = {
        ".parquet": _parquet,
        ".csv": _csv,
        ".jsonl": _jsonl,
        ".json": _json,
    }
    return readers[path.suffix](path)


def _parquet(path: Path) -> list[Located]:
    import pyarrow
    import pyarrow.parquet

    try:
        schema = pyarrow.parquet.read_schema(path)
        check_header(path, schema.names)
        for field in schema:
            _check_fields(path, field.name, field.type)
        rows: list[Row] = pyarrow.parquet.read_table(path, partitioning=None).to_pylist()
    except pyarrow.ArrowException as error:
        why = " ".join(str(error).split())
        raise RequestError(f"{path} cannot be read as parquet: {why} Is it complete?") from error
    except UnicodeDecodeError as error:
        raise RequestError(
            f"{path} cannot be read as parquet: a text in it is not UTF-8 ({error})."
        ) from error
    return counted(rows)


def counted(rows: Iterable[Row]) -> list[Located]:
    """Rows with their numbers, from 1."""
    return [(f"row {number}", row) for number, row in enumerate(rows, start=1)]


def _check_fields(path: Path, name: str, kind: Any) -> None:
    """Hold the fields of structs, wherever they stand in a column, to the same as columns."""
    fields = [kind.field(at) for at in range(kind.num_fields)]
    if str(kind).startswith("struct"):
        check_header(path, [f"{name}.{field.name}" for field in fields])
    for field in fields:
        _check_fields(path, f"{name}.{field.name}", field.type)


def check_header(name: str | Path, columns: Sequence[str]) -> None:
    """Make sure that every column has a name of its own.

    Args:
        name: The file or data set, for messages.
        columns: Names of its columns.

    Raises:
        RequestError: A name comes twice, or looks like another.
    """
    # Columns without a name are never read: spreadsheets leave such at the end of every line.
    twice = [one for one, times in Counter(columns).items() if one and times > 1]
    if twice:
        raise RequestError(
            f"{name} has the column '{twice[0]}' {columns.count(twice[0])} times, and which of them is meant "
            "cannot be known. Keep one, or rename the others."
        )
    if (alike := look_alike(columns)) is not None:
        raise RequestError(
            f"{name} has the columns {alike[0]!r} and {alike[1]!r}, which differ in white space or invisible "
            "characters alone, and which of them is meant cannot be known. Keep one, or rename the other."
        )


def _csv(path: Path) -> list[Located]:
    # Not `splitlines`: line breaks may stand inside quoted cells.
    reader = csv.reader(io.StringIO(read_text(path), newline=""), strict=True)
    with _any_length():
        try:
            header = next(reader, [])
            check_header(path, header)
            return [(f"line {line}", row) for line, row in _csv_rows(path, reader, header)]
        except csv.Error as error:
            raise RequestError(f"{path} cannot be read as csv: line {reader.line_num}: {error}.") from error


def _csv_rows(path: Path, reader: Any, header: list[str]) -> Iterator[tuple[int, Row]]:
    for cells in reader:
        if not cells:
            continue
        if len(cells) != len(header):
            raise RequestError(
                f"{path}, line {reader.line_num}: {len(cells)} cells where the header has {len(header)} "
                f"columns ({', '.join(header)}). A cell that contains a comma or a line break must be quoted."
            )
        yield reader.line_num, dict(zip(header, cells, strict=True))


@contextlib.contextmanager
def _any_length() -> Iterator[None]:
    """Lift csv's limit of 131,072 characters a cell, which holds for the whole process."""
    before = csv.field_size_limit(min(sys.maxsize, 2**31 - 1))  # a C long, of four bytes on Windows
    try:
        yield
    finally:
        csv.field_size_limit(before)


def _jsonl(path: Path) -> list[Located]:
    # By line feeds alone: other characters that Python takes for line ends stand inside texts.
    lines = enumerate(read_text(path).split("\n"), start=1)
    return _one_header(
        path,
        [
            _object(path, f"line {number}", _parsed(f"{path}, line {number}", line))
            for number, line in lines
            if line.strip()
        ],
    )


def _json(path: Path) -> list[Located]:
    text = read_text(path)
    if not text.lstrip().startswith("["):
        return _jsonl(path)
    rows = enumerate(_parsed(str(path), text), start=1)
    return _one_header(path, [_object(path, f"row {number}", value) for number, value in rows])


def _one_header(path: Path, rows: list[Located]) -> list[Located]:
    """Rows whose columns, taken together, could be the header of a file."""
    check_header(path, list(dict.fromkeys(column for _, row in rows for column in row)))
    return rows


def _parsed(at: str, text: str) -> Any:
    try:
        return parse_json(text)
    except DoubledKeyError as error:
        raise RequestError(f"{at}: {error}. Keep one of them.") from error
    except (ValueError, RecursionError) as error:
        raise RequestError(f"{at} is not JSON: {error}.") from error


def _object(path: Path, where: str, value: Any) -> Located:
    if not isinstance(value, dict):
        raise RequestError(
            f"{path}, {where}: a JSON object, one cell per column, is expected, but it is "
            f"{type(value).__name__}."
        )
    return where, value
