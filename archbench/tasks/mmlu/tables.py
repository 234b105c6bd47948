"""Reads the splits of a question set as plain rows, from parquet, CSV or JSONL files or from a hub."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from archbench.errors import RequestError
from archbench.paths import looks_local, nearest_folder

Row = dict[str, Any]

SUFFIXES = (".parquet", ".csv", ".jsonl")
_HUB = re.compile(r"(?P<repo>[\w.-]+/[\w.-]+)(?::(?P<config>[\w.-]+))?")


@dataclass(frozen=True)
class Table:
    """Rows of one split, each with the words that point at it in a message.

    Attributes:
        name: The file's path, or the hub data set with its configuration and split.
        rows: Pairs of where the row is (`row 3`, `line 4`) and its cells by column.
    """

    name: str
    rows: list[tuple[str, Row]]


def read_splits(data: str) -> dict[str, Table]:
    """Read the `test` split, and `dev` where there is one.

    Args:
        data: A folder with one file per split, `test` and `dev`, each as parquet, CSV (UTF-8, with a header)
            or JSONL; or a hub data set id, `owner/name` for its configuration `all`, else
            `owner/name:config`.

    Returns:
        The tables by split name.

    Raises:
        RequestError: There is no such folder or data set, no or more than one file for a split, or a file
            that is empty or cannot be read.
    """
    folder = Path(data).expanduser()
    if folder.is_dir():
        return _read_folder(folder)
    if folder.exists():
        raise RequestError(
            f"MMLU data '{data}' is a file; the folder that holds `test` and `dev` is expected. Did you mean "
            f"'{folder.parent}'?"
        )
    if (hub := _HUB.fullmatch(data)) and not looks_local(data):
        return _read_hub(data, hub["repo"], hub["config"] or "all")
    raise RequestError(
        f"MMLU data '{data}': there is no such folder. Give a folder that holds `test` and `dev` as parquet, "
        f"CSV or JSONL, or the id of a hub data set such as cais/mmlu. {nearest_folder(folder)}"
    )


def _read_folder(folder: Path) -> dict[str, Table]:
    tables = {}
    for split in ("test", "dev"):
        files = [path for suffix in SUFFIXES if (path := folder / f"{split}{suffix}").is_file()]
        if len(files) > 1:
            found = " and ".join(path.name for path in files)
            raise RequestError(
                f"{folder} holds {found}: which one is the {split} split? Keep one of them and move the rest "
                "elsewhere."
            )
        if files:
            tables[split] = _read_file(files[0])
        elif split == "test":
            holds = ", ".join(sorted(path.name for path in folder.iterdir())[:8]) or "nothing"
            raise RequestError(
                f"{folder} has no test split: test.parquet, test.csv or test.jsonl is expected there. "
                f"It holds {holds}."
            )
    return tables


def _read_file(path: Path) -> Table:
    readers: dict[str, Callable[[Path], list[tuple[str, Row]]]] = {
        ".parquet": _parquet_rows,
        ".csv": _csv_rows,
        ".jsonl": _jsonl_rows,
    }
    try:
        rows = readers[path.suffix](path) if path.stat().st_size else []
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise RequestError(f"{path} cannot be read as {path.suffix[1:]}: {error}.") from error
    if not rows:
        raise RequestError(f"{path} is empty: at least one question is expected. Delete it or fill it.")
    return Table(str(path), rows)


def _parquet_rows(path: Path) -> list[tuple[str, Row]]:
    import pyarrow
    import pyarrow.parquet

    try:
        table = pyarrow.parquet.read_table(path, partitioning=None)
    except pyarrow.ArrowException as error:
        raise RequestError(f"{path} cannot be read as parquet: {error} Is it complete?") from error
    return _counted(table.to_pylist())


def _csv_rows(path: Path) -> list[tuple[str, Row]]:
    # utf-8-sig: spreadsheets write a byte order mark, which would become part of the first column's name.
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, strict=True)
        header = next(reader, [])
        rows = []
        for cells in reader:
            if not cells:
                continue
            where = f"line {reader.line_num}"
            if len(cells) != len(header):
                raise RequestError(
                    f"{path}, {where}: {len(cells)} cells where the header has {len(header)} columns "
                    f"({', '.join(header)}). A cell that contains a comma or a line break must be quoted."
                )
            rows.append((where, dict(zip(header, cells, strict=True))))
    return rows


def _jsonl_rows(path: Path) -> list[tuple[str, Row]]:
    rows = []
    with path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise RequestError(f"{path}, line {number} is not JSON: {error}.") from error
            if not isinstance(row, dict):
                raise RequestError(
                    f"{path}, line {number}: a JSON object with the keys question, choices, answer and "
                    f"subject is expected, but it is {type(row).__name__}."
                )
            rows.append((f"line {number}", row))
    return rows


def _read_hub(data: str, repo: str, config: str) -> dict[str, Table]:
    import datasets

    try:
        splits = datasets.load_dataset(repo, config)
    except Exception as error:  # network, login, name, configuration: many types, one remedy
        reason = " ".join(str(error).split())[:300].rstrip(".")
        raise RequestError(
            f"MMLU data '{data}': there is no such folder, and reading configuration '{config}' of the hub "
            f"data set '{repo}' failed ({type(error).__name__}: {reason}). If this machine is offline, save "
            "the splits `test` and `dev` as test.parquet and dev.parquet on one that is not "
            f'(`datasets.load_dataset("{repo}", "{config}")["test"].to_parquet("test.parquet")`) and name '
            "their folder here; for another configuration write owner/name:config."
        ) from error
    if "test" not in splits:
        raise RequestError(
            f"MMLU data '{data}': the hub data set has no split `test`; it has {', '.join(sorted(splits))}."
        )
    tables = {}
    for split in ("test", "dev"):
        if split in splits:
            name = f"{repo} (configuration {config}, split {split})"
            tables[split] = Table(name, _counted(list(splits[split])))
    return tables


def _counted(rows: list[Row]) -> list[tuple[str, Row]]:
    return [(f"row {number}", row) for number, row in enumerate(rows, start=1)]
