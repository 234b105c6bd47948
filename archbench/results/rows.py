"""Item rows as the bytes of a parquet file, and back; both ways checked against the cell's header."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from archbench.errors import RunError
from archbench.results.header import CellHeader

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


def from_parquet(header: CellHeader, content: bytes, *, lists: bool) -> pd.DataFrame:
    """Item rows from the bytes of a parquet file.

    Args:
        header: The cell's header.
        content: The file.
        lists: Whether to read the columns with one value per choice, which are most of the bytes.

    Raises:
        ValueError: It is no parquet file, or not one with the rows that the header speaks of.
    """
    try:
        reader = pq.ParquetFile(io.BytesIO(content))
        fields = list(reader.schema_arrow)
        wanted = [field.name for field in fields if lists or not pa.types.is_list(field.type)]
        frame: pd.DataFrame = reader.read(wanted).to_pandas()
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"it is no parquet file: {error}") from error
    if missing := [name for name in (*_REQUIRED, *header.metrics) if name not in frame]:
        raise ValueError(f"it has no column '{missing[0]}'")
    if len(frame) != header.items:
        raise ValueError(f"it has {len(frame)} rows, and the header counts {header.items} items")
    return frame
