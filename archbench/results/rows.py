"""Item rows as the bytes of a parquet file, and back; both ways checked against the cell's header."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from archbench.errors import RunError
from archbench.results.header import CellHeader
from archbench.results.shapes import missing_columns

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
_LISTS = frozenset(name for name, kind in _TYPES.items() if pa.types.is_list(kind))
# Lists that are looked at even where they are not asked for.
_NUMBERS = frozenset({"loglikelihoods"})
_REQUIRED = ("item", "prompt_hash", "target")


def to_parquet(header: CellHeader, rows: Sequence[Mapping[str, Any]] | pd.DataFrame) -> bytes:
    """Item rows as the bytes of a parquet file.

    Args:
        header: The cell's header.
        rows: Item rows as in docs/architecture.md.

    Raises:
        RunError: They break the schema, or are not those that the header speaks of; names cell and column.
    """

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
        # A frame has no other way to say that a value is missing.
        missing_too = isinstance(rows, pd.DataFrame) and name not in _LISTS
        if bad := [one for one in values if _is_no_number(one, nan_is_missing=missing_too)]:
            raise wrong(f"column '{name}' holds {bad[0]}, which is no finite number")
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
    table = pa.table(columns)
    try:
        _check_numbers(header, table)
    except ValueError as error:
        raise wrong(str(error)) from None
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd")
    return sink.getvalue()


def _is_no_number(value: Any, *, nan_is_missing: bool) -> bool:
    """Whether a value, or one in a list, is NaN or infinite."""
    if isinstance(value, list | tuple | np.ndarray):
        return any(_is_no_number(one, nan_is_missing=False) for one in value)
    if not isinstance(value, float | np.floating) or math.isfinite(value):
        return False
    return not (nan_is_missing and math.isnan(value))


def _check_numbers(header: CellHeader, table: pa.Table) -> None:
    """Refuse scores and log-likelihoods that are no numbers, which older versions could let pass.

    Raises:
        ValueError: There are some; names column and item.
    """
    ids = table.column("item").to_pylist()
    for name in header.metrics:
        kind = table.schema.field(name).type
        if not (pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_null(kind)):
            raise ValueError(f"metric '{name}' holds {kind}, not scores from 0 to 1")
        for item, value in zip(ids, table.column(name).to_pylist(), strict=True):
            if value is not None and not 0 <= value <= 1:
                raise ValueError(f"metric '{name}' of item '{item}' is {value}, not a score from 0 to 1")
    if "loglikelihoods" not in table.column_names:
        return
    column = table.column("loglikelihoods")
    flat = pc.list_flatten(column)
    if flat.null_count == 0 and pc.all(pc.is_finite(flat)).as_py() is not False:
        return
    for item, values in zip(ids, column.to_pylist(), strict=True):
        if bad := [one for one in values or () if one is None or not math.isfinite(one)]:
            raise ValueError(f"a log-likelihood of item '{item}' is {bad[0]}, which is no finite number")


def from_parquet(header: CellHeader, content: bytes, *, lists: bool) -> pd.DataFrame:
    """Item rows from the bytes of a parquet file.

    Args:
        header: The cell's header.
        content: The file.
        lists: Whether to read the columns with one value per choice, which are most of the bytes.

    Raises:
        ValueError: It is no parquet file, or not one with the rows that the header speaks of, or a score or
            log-likelihood in it is no number.
    """
    try:
        reader = pq.ParquetFile(io.BytesIO(content))
        fields = list(reader.schema_arrow)
        names = [
            field.name
            for field in fields
            if lists or not pa.types.is_list(field.type) or field.name in _NUMBERS
        ]
        table = reader.read(names)
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"it is no parquet file: {error}") from error
    if missing := [name for name in (*_REQUIRED, *header.metrics) if name not in names]:
        raise ValueError(f"it has no column '{missing[0]}'")
    if len(table) != header.items:
        raise ValueError(f"it has {len(table)} rows, and the header counts {header.items} items")
    asked = len(table) - (pc.sum(table["excluded"]).as_py() or 0 if "excluded" in names else 0)
    if asked and (missing := missing_columns(header.kind, set(reader.schema_arrow.names))):
        raise ValueError(f"it has no column '{missing[0]}', which items of kind {header.kind} have")
    _check_numbers(header, table)
    frame: pd.DataFrame = (
        table if lists else table.select([n for n in names if n not in _NUMBERS])
    ).to_pandas()
    return frame
