"""A table of members × conditions, and what tables of members have in common."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd

from archbench.report.findings import Findings
from archbench.report.table import MISSING, Cell, Column, Table
from archbench.report.words.captions import (
    DAGGER,
    items_in,
)
from archbench.report.words.naming import heading, points
from archbench.results.conditions import Condition
from archbench.results.frames import records

Row = list[Cell | str]
WHO = (Column("condition", words=True), Column("member", words=True))


def grid(
    findings: Findings,
    title: str,
    caption: str,
    conditions: Sequence[Condition],
    text: Callable[[dict[str, Any]], str],
    notes: Sequence[str] = (),
) -> Table:
    """Members × conditions, the best marked, guessing and numbers of items below."""
    several = len({one.task for one in conditions}) > 1
    rows: list[Row] = []
    for member in findings.members:
        cells: Row = [member]
        for condition in conditions:
            row, leader = findings.score(member, condition), findings.leaders.get(condition)
            if row is None or leader is None:
                cells.append(MISSING)
            else:
                best = member in leader.members and len(findings.scored(condition)) > 1
                cells.append(
                    Cell(text(row), bold=best, mark=DAGGER if member in leader.tied + leader.open else "")
                )
        rows.append(cells)
    below = len(rows)
    if any(one.chance is not None for one in conditions):
        chances = [MISSING if one.chance is None else points(one.chance) for one in conditions]
        rows.append(["guessing", *chances])
    counts = [items_in(findings, one) for one in conditions]
    if len(set(counts) - {0}) > 1:
        rows.append(["items", *(f"{count:,}" for count in counts)])
    columns = [Column("member", words=True)]
    columns += [Column(name, group) for group, name in (heading(one, several) for one in conditions)]
    every = [*findings.gaps(conditions), *notes]
    return Table(title, caption, columns, rows, findings.stamp, frozenset({below}), every)


def records_of(frame: pd.DataFrame, condition: Condition) -> list[dict[str, Any]]:
    """Rows of a frame that are of a condition."""
    here = (frame["task"] == condition.task) & (frame["variant"] == condition.variant)
    return records(frame[here])
