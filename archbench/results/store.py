"""A run's folder: one manifest, and for every cell a header beside a parquet file of its items.

    RUN/manifest.json
    RUN/cells/<member>/<task>.<variant>.parquet     written first
    RUN/cells/<member>/<task>.<variant>.json        written last: its existence means complete

Keys of the manifest that the report reads, all optional beside what else the runner notes down:

    name         str           the run's or suite's name
    members      list[dict]    one per member, in the suite's order, with at least `name`
    conditions   list[dict]    every column in the suite's order: `task`, `variant`, and `kind`, `labels`,
                               `metric`, `chance`, so that one without any cell yet is shown as missing
    cells        list[dict]    `member`, `task`, `variant`, `key` of what belongs to the run; other
                               cells in the folder are left over and not looked at
    match        list[str]     the verdict of the match audit, stamped on every table
    seed         int
    command      str           what was typed to make the run
    versions, hardware         dict: shown under "How it was run"
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import ValidationError

from archbench.errors import RequestError, RunError
from archbench.results.files import plain, slug, write_atomic
from archbench.results.header import SCHEMA_VERSION, CellHeader, CellId

_FORMAT = "archbench run"

# Given outright, since a column that is null throughout would otherwise lose its type.
_TYPES: dict[str, pa.DataType] = {
    "item": pa.string(),
    "doc": pa.int64(),
    "subject": pa.string(),
    "category": pa.string(),
    "prompt_hash": pa.string(),
    "target": pa.string(),
    "choices": pa.list_(pa.string()),
    "loglikelihoods": pa.list_(pa.float64()),
    "choice_tokens": pa.list_(pa.int64()),
    "choice_chars": pa.list_(pa.int64()),
    "prompt_tokens": pa.int64(),
    "prediction": pa.string(),
    "margin": pa.float64(),
    "excluded": pa.bool_(),
}
_REQUIRED = ("item", "prompt_hash", "target")


class Store:
    """Reads and writes one run's folder.

    Attributes:
        folder: The run's folder; it need not exist before the first write.
    """

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)

    def __repr__(self) -> str:
        return f"Store({str(self.folder)!r})"

    # -- manifest ------------------------------------------------------------------------------------------

    def check_writable(self) -> None:
        """Make the folder and try a file in it, so that a run need not fail after its first hours.

        Raises:
            RequestError: The folder cannot be made or written, or another program's manifest lies in it.
        """
        if (self.folder / "manifest.json").exists():
            self._read_manifest()
        try:
            write_atomic(self.folder / "cells" / ".writable", "")
            (self.folder / "cells" / ".writable").unlink()
        except OSError as error:
            raise RequestError(
                f"Results cannot be written to {self.folder}: {error.strerror or error}. "
                "Name another folder, or make this one writable."
            ) from error

    def write_manifest(self, manifest: Mapping[str, Any]) -> None:
        """Write what is known about the whole run; the keys are listed at the top of this module.

        Raises:
            RequestError: The folder cannot be written, or another program's manifest lies in it.
        """
        self.check_writable()
        marked = {**manifest, "format": _FORMAT, "schema_version": SCHEMA_VERSION}
        write_atomic(self.folder / "manifest.json", _json(marked))

    @property
    def manifest(self) -> dict[str, Any]:
        """What `write_manifest` was given.

        Raises:
            RequestError: The folder holds no archbench run, or one that a newer archbench has written.
        """
        if not (self.folder / "manifest.json").is_file():
            raise RequestError(
                f"{self.folder} is not an archbench run: it has no manifest.json. Name the folder that "
                "`archbench run` wrote (results/<suite name> unless told otherwise), or run a suite first."
            )
        return self._read_manifest()

    def _read_manifest(self) -> dict[str, Any]:
        path = self.folder / "manifest.json"
        try:
            manifest = json.loads(path.read_bytes())
        except (OSError, ValueError) as error:
            raise RequestError(
                f"{path} cannot be read ({error}). Name the folder of a run, or run the suite again."
            ) from error
        if not isinstance(manifest, dict) or manifest.pop("format", None) != _FORMAT:
            raise RequestError(
                f"{path} was not written by archbench (its key 'format' is not '{_FORMAT}'). "
                "Name another folder; archbench leaves this one alone."
            )
        _check_version(path, manifest.pop("schema_version", None))
        return manifest

    # -- cells ---------------------------------------------------------------------------------------------

    def _path(self, cell: CellId | tuple[str, str, str], suffix: str) -> Path:
        member, task, variant = cell
        return self.folder / "cells" / slug(member) / f"{slug(task)}.{slug(variant)}{suffix}"

    def write_cell(self, header: CellHeader, rows: Sequence[Mapping[str, Any]] | pd.DataFrame) -> CellHeader:
        """Write one cell, replacing an earlier one of the same name.

        The parquet file is written before the header, and an earlier header is taken away before its parquet
        file is replaced: whatever moment the process is killed at, a header never speaks for other rows.

        Args:
            header: The cell's header. `rows_sha256` is filled in here.
            rows: Item rows as in docs/architecture.md, one column per metric, and any further columns of the
                task's own. A failed cell has none.

        Returns:
            The header as written.

        Raises:
            RunError: Rows break the schema (the message names the cell and the column), or the disk is full.
        """
        parquet, beside = self._path(header.id, ".parquet"), self._path(header.id, ".json")
        content = None if header.status == "failed" else _parquet(header, rows)
        sha256 = None if content is None else hashlib.sha256(content).hexdigest()
        header = header.model_copy(update={"rows_sha256": sha256})
        try:
            beside.unlink(missing_ok=True)
            parquet.unlink(missing_ok=True)
            if content is not None:
                write_atomic(parquet, content)
            write_atomic(beside, _json(header.model_dump(mode="json")))
        except OSError as error:
            raise RunError(
                f"The results of {header.id} could not be written to {beside.parent}: "
                f"{error.strerror or error}. Make room or make it writable; "
                "the same command then continues with this cell."
            ) from error
        return header

    def has(self, cell_id: CellId | tuple[str, str, str], key: str, *, may_exclude: bool = False) -> bool:
        """Whether a cell can be skipped: it is complete, carries this key, and its items are whole.

        Args:
            cell_id: The cell.
            key: The key.
            may_exclude: Whether it may have items that were too long for the member.
        """
        path = self._path(cell_id, ".json")
        try:
            header = _read_header(path)
            fits = header.status == "complete" and header.key == key
            return fits and (may_exclude or not header.excluded) and bool(self._content(header))
        except RunError:
            return False

    def holds_another(self, cell_id: CellId | tuple[str, str, str], key: str) -> bool:
        """Whether writing a cell under this key would replace a complete one of another key."""
        path = self._path(cell_id, ".json")
        try:
            header = _read_header(path) if path.is_file() else None
        except RunError:
            return False
        return header is not None and header.status == "complete" and header.key != key

    def headers(self) -> list[CellHeader]:
        """Headers of all cells, complete or failed, by member, task and variant.

        Raises:
            RunError: A header is damaged.
            RequestError: A newer archbench has written one.
        """
        found = [_read_header(path) for path in (self.folder / "cells").glob("*/*.json")]
        return sorted(found, key=lambda header: header.id)

    def items(self, header: CellHeader, *, lists: bool = True) -> pd.DataFrame:
        """Item rows of a cell.

        Args:
            header: The cell.
            lists: Whether to read the columns with one value per choice, which are most of the bytes.

        Raises:
            RunError: The parquet file is missing or not the one the header speaks of.
        """
        reader = pq.ParquetFile(io.BytesIO(self._content(header)))
        wanted = [field.name for field in reader.schema_arrow if lists or not pa.types.is_list(field.type)]
        frame: pd.DataFrame = reader.read(wanted).to_pandas()
        return frame

    def _content(self, header: CellHeader) -> bytes:
        path = self._path(header.id, ".parquet")
        again = (
            f"Remove {path.with_suffix('.json')} and give the run command again: only this cell is redone."
        )
        if header.status == "failed":
            raise RunError(f"{header.id} failed and has no items: {header.error}")
        try:
            content = path.read_bytes()
        except OSError as error:
            raise RunError(
                f"The items of {header.id} cannot be read from {path} ({error.strerror}). {again}"
            ) from error
        if hashlib.sha256(content).hexdigest() != header.rows_sha256:
            raise RunError(
                f"{path} does not hold the items that the header of {header.id} speaks of. {again}"
            )
        return content


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(plain(value), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _check_version(path: Path, version: object) -> None:
    if not isinstance(version, int) or version > SCHEMA_VERSION:
        raise RequestError(
            f"{path} has schema version {version}, this archbench reads up to {SCHEMA_VERSION}. "
            "Update archbench to read this run, or run the suite again into another folder."
        )


def _read_header(path: Path) -> CellHeader:
    try:
        content = json.loads(path.read_bytes())
        _check_version(path, content.get("schema_version") if isinstance(content, dict) else None)
        return CellHeader.model_validate(content)
    except (OSError, ValidationError, ValueError) as error:
        reason = error.errors()[0]["msg"] if isinstance(error, ValidationError) else error
        raise RunError(
            f"{path} cannot be read as a cell's header ({reason}). Remove it and give the run command again: "
            "only this cell is redone."
        ) from error


def _parquet(header: CellHeader, rows: Sequence[Mapping[str, Any]] | pd.DataFrame) -> bytes:
    """Item rows as the bytes of a parquet file; checks them against the schema and the header."""

    def wrong(what: str) -> RunError:
        return RunError(
            f"The rows of {header.id} break the schema of item rows: {what}. Nothing has been written."
        )

    records: list[Mapping[Any, Any]]
    records = [*rows.to_dict("records")] if isinstance(rows, pd.DataFrame) else [*rows]
    if len(records) != header.items:
        raise wrong(f"the header counts {header.items} items, there are {len(records)} rows")
    names = list(dict.fromkeys(name for record in records for name in record))
    if missing := [name for name in (*_REQUIRED, *header.metrics) if records and name not in names]:
        raise wrong(f"column '{missing[0]}' is missing")
    types = _TYPES | {metric: pa.float64() for metric in header.metrics}
    columns: dict[str, pa.Array] = {}
    for name in [*types, *(name for name in names if name not in types)]:
        values = [record.get(name) for record in records]
        try:
            columns[name] = pa.array(values, type=types.get(name), from_pandas=True)
        except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
            raise wrong(
                f"column '{name}' cannot be stored as {types.get(name, 'one type')} ({error})"
            ) from error
    for name in _REQUIRED:
        if columns[name].null_count:
            raise wrong(f"column '{name}' is null for row {columns[name].to_pylist().index(None)}")
    ids = columns["item"].to_pylist()
    if len(set(ids)) != len(ids):
        raise wrong(f"item '{next(name for name in ids if ids.count(name) > 1)}' occurs twice")
    for metric in header.metrics:
        for name, value in zip(ids, columns[metric].to_pylist(), strict=True):
            if value is not None and not 0 <= value <= 1:
                raise wrong(f"metric '{metric}' of item '{name}' is {value}, not a score from 0 to 1")
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink, compression="zstd")
    return sink.getvalue()
