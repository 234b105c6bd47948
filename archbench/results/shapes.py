"""What a cell of a kind of task carries: its labels, its primary metric, the columns of its items.

Each kind declares it (`archbench.tasks.entry.TaskEntry.SHAPE`), so that a header that somebody has changed by
hand is recognised before a table is made of it. Cells of kinds that are not known here are read as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

_FEWEST_AND_MOST = {
    "shots": (0, 1000),
    "entries": (1, 10**6),
    "length": (1, 2**22),
    "context": (0, 2**22),
    "window": (1, 2**22),
}
"""Labels that are whole numbers, with the bounds that suites keep to; the others are text."""


@dataclass(frozen=True)
class CellShape:
    """What a cell of one kind carries.

    Attributes:
        labels: Sets of labels, of which a cell has exactly one, besides those that are optional.
        optional: Labels that it may have.
        metrics: What its primary metric may be; any where empty.
        columns: Columns that its item rows have besides those of every task and its metrics.
    """

    labels: tuple[frozenset[str], ...]
    optional: frozenset[str] = frozenset()
    metrics: frozenset[str] = frozenset()
    columns: frozenset[str] = frozenset()


_SHAPES: dict[str, CellShape] = {}


def register(kind: str, shape: CellShape) -> None:
    """State what cells of a kind carry; from then on headers and items are held to it."""
    _SHAPES[kind] = shape


def misfit(kind: str, labels: Mapping[str, object], metric: str | None) -> str | None:
    """How a cell does not fit its kind, in words; None where it does.

    Args:
        kind: The kind.
        labels: What its variant stands for.
        metric: Its primary metric.
    """
    known = _SHAPES.get(kind)
    if known is None:
        return None
    if set(labels) - known.optional not in known.labels:
        sets = " or ".join(" and ".join(f"'{one}'" for one in sorted(some)) for some in known.labels)
        more = ", ".join(f"'{one}'" for one in sorted(known.optional))
        has = ", ".join(f"'{one}'" for one in labels) or "none"
        return (
            f"a cell of kind {kind} has the labels {sets}{f' and perhaps {more}' if more else ''}, and its "
            f"labels are {has}"
        )
    for name, value in labels.items():
        if wrong := _wrong(name, value):
            return f"its label '{name}' is {value!r:.60}; expected {wrong}"
    if known.metrics and metric not in known.metrics:
        listed = " or ".join(f"'{one}'" for one in sorted(known.metrics))
        return f"a cell of kind {kind} is scored by {listed}, and its metric is '{metric}'"
    return None


def missing_columns(kind: str, names: set[str]) -> list[str]:
    """Columns that items of a kind have and these lack, by name."""
    return sorted(_SHAPES[kind].columns - names) if kind in _SHAPES else []


def _wrong(name: str, value: object) -> str | None:
    """What a label should be, where it is not."""
    if name not in _FEWEST_AND_MOST:
        return None if isinstance(value, str) and value else "text"
    low, high = _FEWEST_AND_MOST[name]
    fits = isinstance(value, int) and not isinstance(value, bool) and low <= value <= high
    return None if fits else f"a whole number from {low:,} to {high:,}"
