"""Tidy frames: columns in a stated order, labels of one type, rows as mappings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd


def tidy(rows: Sequence[dict[str, Any]], labels: Sequence[str], columns: Sequence[str]) -> pd.DataFrame:
    """A frame of rows.

    Args:
        rows: The rows; columns that none of them has are there all the same.
        labels: Which columns are labels of conditions.
        columns: Columns in front, in order; any others follow.
    """
    rest = [name for name in rows[0] if name not in columns] if rows else []
    return whole_labels(pd.DataFrame(rows, columns=[*columns, *rest]), labels)


def whole_labels(frame: pd.DataFrame, labels: Sequence[str]) -> pd.DataFrame:
    """Convert labels in place, so that a missing number of shots leaves the others whole numbers."""
    for label in labels:
        frame[label] = frame[label].convert_dtypes()
    return frame


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows of a frame as mappings from column to value."""
    return [{str(name): value for name, value in row.items()} for row in frame.to_dict("records")]
