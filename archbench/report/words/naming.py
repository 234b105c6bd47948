"""How conditions, scores and lists of names are written, in tables, figures and sentences alike."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd

from archbench.results.conditions import Condition
from archbench.results.frames import records


def by_cell(frame: pd.DataFrame, *keys: str) -> dict[tuple[Any, ...], dict[str, Any]]:
    """Rows of a frame by member, task, variant and further columns; rows without items are left out."""
    names = ["member", "task", "variant", *keys]
    return {tuple(row[name] for name in names): row for row in records(frame) if row["n"]}


def heading(condition: Condition, several_tasks: bool) -> tuple[str, str]:
    """How a condition is headed: what it shares with its neighbours, and what tells it from them.

    Labels `format`, `name` and `shots` are shown as `cloze`, `piqa` and `5-shot`, others as `length=1024`.

    Args:
        condition: The condition.
        several_tasks: Whether conditions of other tasks stand beside it, so that its own must be named.

    Returns:
        Group and name; the name is never empty.
    """
    parts = [_label(name, value) for name, value in condition.labels if value is not None] or [
        condition.variant
    ]
    if several_tasks:
        return condition.task, " ".join(parts)
    return (parts[0], " ".join(parts[1:])) if len(parts) > 1 else (condition.task, parts[0])


def _label(name: str, value: object) -> str:
    if name in ("format", "name"):
        return str(value)
    return f"{value}-shot" if name == "shots" else f"{name}={value}"


def short_name(condition: Condition, conditions: Sequence[Condition]) -> str:
    """The shortest name that tells a condition from the others: with its task only if there are several."""
    several = len({one.task for one in conditions}) > 1
    group, name = heading(condition, several)
    return name if not several and group == condition.task else f"{group} {name}"


def listing(names: Sequence[str]) -> str:
    """Names as a sentence lists them: `a, b and c`."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def points(fraction: float, signed: bool = False) -> str:
    """A fraction in points with one decimal: `72.4`, or with its sign `+1.8` or `−1.8`; a dash for NaN."""
    if math.isnan(fraction):
        return "—"
    text = f"{100 * fraction:+.1f}" if signed else f"{100 * fraction:.1f}"
    # What rounds to nothing has no sign.
    return text.lstrip("+-") if float(text) == 0 else text.replace("-", "−")


def with_interval(row: dict[str, Any] | None) -> str:
    """A score and its interval, which need not lie evenly around it: `72.4 [68.0, 76.4]`; a dash for none."""
    if row is None or not row["n"]:
        return "—"
    known = not (math.isnan(row["low"]) or math.isnan(row["high"]))
    return points(row["score"]) + (f" [{points(row['low'])}, {points(row['high'])}]" if known else "")
