"""Paired differences from the baseline: the table and the forest plot."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from archbench.report.findings import Findings
from archbench.report.grid import WHO, Row, records_of
from archbench.report.part import FigurePart, TablePart
from archbench.report.style import GREY, drawing, drawn, drawn_line, style_of
from archbench.report.table import Cell, Column, Sheet, Table, stamped
from archbench.report.words.captions import (
    family_sizes,
    metric_caption,
)
from archbench.report.words.naming import points, short_name
from archbench.results.comparisons import UNDECIDED, VERDICTS
from archbench.results.conditions import Condition
from archbench.results.frames import records

# Of the differences, in inches: between conditions, between members, and of a column.
_CONDITION_GAP, _MEMBER_GAP, _TALLEST = 0.14, 0.13, 6.0
_MOST_COLUMNS = 3


def forest(findings: Findings) -> Figure | None:
    """Forest plot: every paired difference with its interval; filled where Holm's adjustment leaves it.

    A row for each condition, the members in it one below the other. Many rows go on in further columns.
    """
    data = findings.differences
    if data.empty:
        return None
    compared = [one for one in findings.members if one in set(data["member"])]
    found = [(one, here) for one in findings.conditions if (here := _of_condition(data, one))]
    pitch = _CONDITION_GAP + _MEMBER_GAP * len(compared)
    columns = min(_MOST_COLUMNS, math.ceil(len(found) * pitch / _TALLEST))
    rows = math.ceil(len(found) / columns)
    columns = math.ceil(len(found) / rows)
    # In the last resort rows move together: a figure that is taller than a page is of no use.
    height = 1.2 + min(rows * pitch, 2 * _TALLEST)
    with drawing(2.2 + 4.0 * columns, height) as figure:
        areas = figure.subplots(1, columns, sharex=True, squeeze=False)[0]
        for at, area in enumerate(areas):
            _forest(area, findings, compared, found[at * rows : (at + 1) * rows], rows)
            baseline = drawn_line(findings.baseline, 36)
            between = " " if len(baseline) < 20 else "\n"
            area.set_xlabel(f"difference from {baseline},{between}points ({findings.level} interval)")
        marks = []
        for member in compared:
            style = style_of(findings.members.index(member))
            name = drawn_line(member, 36)
            marks.append(Line2D([], [], marker=style.marker, color=style.colour, label=name))
        marks += [
            Line2D([], [], marker="o", linestyle="", color=GREY, markerfacecolor=face, label=text)
            for face, text in (
                (GREY, "beyond chance after Holm's adjustment"),
                ("white", "not distinguishable, or too few items"),
            )
        ]
        figure.legend(handles=marks, loc="outside lower center", ncols=2 if columns == 1 else 4)
    return figure


def _of_condition(data: pd.DataFrame, condition: Condition) -> dict[str, dict[str, Any]]:
    """Rows of a condition, by member."""
    here = data[(data["task"] == condition.task) & (data["variant"] == condition.variant)]
    return {row["member"]: row for row in records(here)}


def _forest(
    area: Axes,
    findings: Findings,
    members: list[str],
    conditions: list[tuple[Condition, dict[str, dict[str, Any]]]],
    rows: int,
) -> None:
    """One column of the forest plot, with room for so many rows."""
    area.axvline(0, color=GREY, linewidth=1, zorder=1)
    for at, (_, found) in enumerate(conditions):
        if at:
            area.axhline(at - 0.5, color="#E6E6E6", linewidth=0.7, zorder=0)
        for place, member in enumerate(members):
            if (row := found.get(member)) is None:
                continue
            y = at + (place - (len(members) - 1) / 2) * 0.8 / len(members)
            style = style_of(findings.members.index(member))
            low, centre, high = (100 * float(row[part]) for part in ("low", "delta", "high"))
            area.plot([low, high], [y, y], color=style.colour, linewidth=1.5, zorder=2)
            face = "white" if row["verdict"] in UNDECIDED else style.colour
            area.plot(
                centre,
                y,
                marker=style.marker,
                markersize=5,
                color=style.colour,
                markerfacecolor=face,
                zorder=3,
            )
    area.set_ylim(rows - 0.5, -0.5)
    names = [drawn(short_name(one, findings.conditions), 24, 2) for one, _ in conditions]
    area.set_yticks(range(len(names)), names)
    area.tick_params(axis="y", length=0)
    area.spines["left"].set_visible(False)
    area.grid(axis="x", color="#EEEEEE", linewidth=0.7, zorder=0)


def table(findings: Findings) -> Sheet | None:
    """Paired differences of every member against the baseline."""
    data = findings.differences
    if data.empty:
        return None
    rows: list[Row] = []
    rules = set()
    for condition in findings.conditions:
        rules.add(len(rows))
        for row in records_of(data, condition):
            low, high = points(row["low"], signed=True), points(row["high"], signed=True)
            rows.append(
                [
                    "" if len(rows) not in rules else short_name(condition, findings.conditions),
                    row["member"],
                    points(row["delta"], signed=True),
                    f"{low} to {high}",
                    f"{row['wins']:,}",
                    f"{row['losses']:,}",
                    _p(row["p"]),
                    _p(row["p_holm"]),
                    points(row["detectable"]),
                    _verdict(row),
                ]
            )
    tests = {
        "mcnemar": "exact McNemar test, Tango's interval",
        "bootstrap": "sign-flip test, bootstrap interval",
    }
    used = "; ".join(tests[method] for method in tests if method in set(data["method"]))
    few = ""
    if (data["verdict"] == VERDICTS[-1]).any():
        few = (
            f" {VERDICTS[-1].capitalize()}: not even one member ahead on every item would be significant; in "
            "brackets, from how many items on it would."
        )
    caption = (
        f"Difference from {findings.baseline} on the same items, in points ({used}). Wins: items on which "
        f"the member scores more; losses: on which {findings.baseline} does. p (Holm) is adjusted for the "
        f"{family_sizes(findings, data)} of this table and decides the verdict at the "
        f"{100 * findings.alpha:g} % level; the {findings.level} intervals are for each "
        "comparison alone. Detectable: the true "
        f"difference that such a comparison finds with 80 % probability before adjustment.{few} "
        + metric_caption(findings.conditions)
    )
    heads = ["Δ", f"{findings.level} interval", "wins", "losses", "p", "p (Holm)", "detectable"]
    columns = [*WHO, *map(Column, heads), Column("verdict", words=True)]
    notes = findings.gaps(findings.conditions)
    table = Table("Differences", caption, columns, rows, findings.stamp, frozenset(rules), notes)
    return Sheet("differences", [table], stamped(data, findings.stamp))


def _verdict(row: dict[str, Any]) -> Cell:
    text = f"{row['verdict']} ({row['needed']})" if row["verdict"] == VERDICTS[-1] else row["verdict"]
    return Cell(text, bold=row["verdict"] not in UNDECIDED)


def _p(value: float) -> str:
    return "<0.001" if value < 0.001 else f"{value:.3f}"


PARTS = (
    TablePart("differences", table, 100),
    FigurePart("differences", forest, "Paired differences from the baseline, with intervals.", 100),
)
