"""A run's folder: one manifest, and for every cell a header next to a parquet file of its items.

    RUN/manifest.json
    RUN/cells/<member>/<task>.<variant>.parquet     written first
    RUN/cells/<member>/<task>.<variant>.json        written last: its existence means complete

What the manifest says: `archbench.results.manifest`.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pandas as pd
from pydantic import ValidationError

from archbench.errors import RequestError, RunError
from archbench.formats.json_file import check_text, read_json
from archbench.paths import checked as checked_path
from archbench.results.header import SCHEMA_VERSION, CellHeader, CellId
from archbench.results.manifest import (
    FORMAT,
    FoundManifest,
    checked,
    is_newer,
    is_version,
    newer,
    read_manifest,
)
from archbench.results.rows import from_parquet, to_parquet
from archbench.results.writing import plain, slug, write_atomic


class _NewerError(RunError):
    """A header was written by a newer archbench."""


class Store:
    """Reads and writes one run's folder.

    Attributes:
        folder: The run's folder; it need not exist before the first write.
    """

    def __init__(self, folder: Path | str) -> None:
        """Look at a folder, which is neither read nor written yet.

        Raises:
            RequestError: No folder can have such a name, or its name is not UTF-8.
        """
        self.folder = checked_path(Path(folder))

    def __repr__(self) -> str:
        return f"Store({str(self.folder)!r})"

    # -- manifest ------------------------------------------------------------------------------------------

    def check_writable(self) -> None:
        """Make the folder and try a file in it, so that a run need not fail after its first hours.

        Raises:
            RequestError: The folder cannot be made or written, or another program's manifest lies in it.
        """
        if self._manifest.exists():
            self.read_manifest()
        try:
            write_atomic(self.folder / "cells" / ".writable", "")
            (self.folder / "cells" / ".writable").unlink()
        except OSError as error:
            raise RequestError(
                f"Results cannot be written to {self.folder}: {error.strerror or error}. "
                "Name another folder, or make this one writable."
            ) from error

    def write_manifest(self, manifest: Mapping[str, Any]) -> None:
        """Write what is known about the whole run (`archbench.results.manifest`), and whatever else is given.

        A damaged manifest that is replaced is kept as manifest.json.broken.

        Raises:
            RequestError: The folder cannot be written, or another program's manifest lies in it.
            RunError: The manifest breaks its schema.
        """
        content = checked(plain(manifest)) | {"format": FORMAT, "schema_version": SCHEMA_VERSION}
        self.check_writable()
        try:
            if self._manifest.exists() and self.read_manifest().damage:
                os.replace(self._manifest, self._manifest.with_suffix(".json.broken"))  # noqa: PTH105
            write_atomic(self._manifest, _json(content))
        except OSError as error:
            raise RequestError(
                f"{self._manifest} cannot be written: {error.strerror or error}. "
                "Make room or make it writable; the same command then goes on."
            ) from error

    @property
    def manifest(self) -> dict[str, Any]:
        """What `write_manifest` was given, or what is left of it.

        Raises:
            RequestError: The folder holds no archbench run, or one that a newer archbench has written.
        """
        return self.read_manifest().content

    def read_manifest(self) -> FoundManifest:
        """The manifest, and what is damaged of it.

        A folder with cells is a run whatever its manifest says: what that has lost, the cells' headers state.

        Raises:
            RequestError: As for `manifest`.
        """
        return read_manifest(self._manifest, has_cells=any(True for _ in self._found_headers()))

    @property
    def _manifest(self) -> Path:
        return self.folder / "manifest.json"

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
        parquet, header_file = self._path(header.id, ".parquet"), self._path(header.id, ".json")
        content = None if header.status == "failed" else to_parquet(header, rows)
        sha256 = None if content is None else hashlib.sha256(content).hexdigest()
        header = header.model_copy(update={"rows_sha256": sha256})
        try:
            header_file.unlink(missing_ok=True)
            parquet.unlink(missing_ok=True)
            if content is not None:
                write_atomic(parquet, content)
            write_atomic(header_file, _json(plain(header.model_dump(mode="json"))))
        except OSError as error:
            raise RunError(
                f"The results of {header.id} could not be written to {header_file.parent}: "
                f"{error.strerror or error}. Make room or make it writable; "
                "the same command then continues with this cell."
            ) from error
        return header

    def has(
        self,
        cell_id: CellId | tuple[str, str, str],
        key: str,
        *,
        may_exclude: bool = False,
        about: Mapping[str, Any] = MappingProxyType({}),
    ) -> bool:
        """Whether a cell can be skipped: it is complete, carries this key, and its items are whole.

        Args:
            cell_id: The cell.
            key: The key.
            may_exclude: Whether it may have items that were too long for the member.
            about: What its header has to say, by field.
        """
        try:
            header = self._read_header(self._path(cell_id, ".json"))
            said = header.model_dump(include=set(about))
            fits = header.status == "complete" and header.key == key and said == dict(about)
            if not fits or (header.excluded and not may_exclude):
                return False
            self.items(header, lists=False)
        except RunError:
            return False
        return True

    def holds_another(self, cell_id: CellId | tuple[str, str, str], key: str) -> bool:
        """Whether writing a cell under this key would replace a complete one of another key.

        One that a newer archbench has written counts as such.
        """
        path = self._path(cell_id, ".json")
        try:
            header = self._read_header(path)
        except _NewerError:
            return True
        except RunError:
            return False
        return header.status == "complete" and header.key != key

    def headers(self) -> list[CellHeader]:
        """Headers of all cells, complete or failed, by member, task and variant."""
        return self.read_headers()[0]

    def read_headers(self) -> tuple[list[CellHeader], list[str]]:
        """Headers of all cells, and of each file among them that is none, which and why, in a sentence."""
        found, skipped = [], []
        for path in sorted((self.folder / "cells").glob("*/*.json")):
            try:
                found.append(self._read_header(path))
            except RunError as error:
                skipped.append(str(error))
        return sorted(found, key=lambda header: header.id), skipped

    def _found_headers(self) -> Iterator[Path]:
        """Files that are headers, also those that a newer archbench has written."""
        for path in (self.folder / "cells").glob("*/*.json"):
            try:
                self._read_header(path)
            except _NewerError:
                yield path
            except RunError:
                continue
            else:
                yield path

    def _read_header(self, path: Path) -> CellHeader:
        """Read a header.

        Raises:
            RunError: The file is none, or is another cell's.
        """
        try:
            content = read_json(path)
            check_text(content)
            if not isinstance(content, dict):
                raise ValueError("it holds no mapping of keys to values")
            version = content.get("schema_version")
            if is_newer(version):
                raise _NewerError(f"{path} is left out: {newer(version)}")
            if not is_version(version):
                raise ValueError("it has no schema_version, so that archbench has not written it")
            # A later version of the same layout may say more.
            known = {name: content[name] for name in CellHeader.model_fields if name in content}
            header = CellHeader.model_validate(known)
            if path != self._path(header.id, ".json"):
                raise ValueError(f"it is the header of {header.id}, whose place is another")
        except (OSError, ValidationError, ValueError) as error:
            raise RunError(f"{path} is left out, since it is no cell's header ({_reason(error)}).") from error
        return header

    def items(self, header: CellHeader, *, lists: bool = True) -> pd.DataFrame:
        """Item rows of a cell.

        Args:
            header: The cell.
            lists: Whether to read the columns with one value per choice, which are most of the bytes.

        Raises:
            RunError: The parquet file is missing or not the one the header speaks of.
        """
        content = self._content(header)
        try:
            return from_parquet(header, content, lists=lists)
        except ValueError as error:
            raise RunError(self._unreadable(header, str(error))) from error

    def _unreadable(self, header: CellHeader, why: str) -> str:
        path = self._path(header.id, ".parquet")
        return (
            f"The items of {header.id} cannot be used: {path}: {why}. Give the run command again: only this "
            "cell is redone."
        )

    def _content(self, header: CellHeader) -> bytes:
        if header.status == "failed":
            raise RunError(f"{header.id} failed and has no items: {header.error}")
        try:
            content = self._path(header.id, ".parquet").read_bytes()
        except OSError as error:
            raise RunError(self._unreadable(header, error.strerror or str(error))) from error
        if hashlib.sha256(content).hexdigest() != header.rows_sha256:
            raise RunError(self._unreadable(header, "it does not hold the items that the header speaks of"))
        return content


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _reason(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False, include_input=False)[0]
        why = first["msg"].removeprefix("Value error, ")
        return ": ".join([".".join(map(str, first["loc"])), why]).removeprefix(": ")
    return error.strerror or str(error) if isinstance(error, OSError) else str(error)
