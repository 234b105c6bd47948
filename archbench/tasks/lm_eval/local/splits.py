"""Local files that stand in for a data set of the hub: splits as parquet, JSONL or JSON in a folder."""

from __future__ import annotations

import re
from pathlib import Path

from archbench.errors import RequestError
from archbench.identity import contents, digest
from archbench.paths import expanded, nearest_folder
from archbench.tasks.files.rows import Row, read_rows

SUFFIXES = (".parquet", ".jsonl", ".json")
_SHARD = r"(-\d{5}-of-\d{5})?"


def split_rows(where: str, folder: str, name: str | None, split: str) -> list[Row] | None:
    """Rows of one split of a data set in a folder.

    Args:
        where: What the rows are for (`data of 'arc_easy'`), for messages.
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
    base = expanded(folder)
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
    rows = [row for path in files for _, row in read_rows(path)]
    return rows if files else None


def holdings(folder: str, name: str | None) -> str:
    """What lies in a folder, for messages."""
    base = expanded(folder)
    base = base / name if name is not None and (base / name).is_dir() else base
    return ", ".join(sorted(path.name for path in base.iterdir())[:8]) or "nothing"


def folder_digest(folder: str) -> str:
    """Digest of the names and content of all data files below a folder."""
    base = expanded(folder)
    files = sorted(path for path in base.rglob("*") if path.suffix in SUFFIXES and path.is_file())
    return digest(contents(base, files))


def _split_files(folder: Path, split: str) -> list[Path]:
    name = re.compile(re.escape(split) + _SHARD)
    found = [path for path in folder.iterdir() if path.suffix in SUFFIXES and name.fullmatch(path.stem)]
    return sorted(path for path in found if path.is_file())
