"""Dot plot of the MMLU formats, and forest plot of the paired differences."""

from __future__ import annotations

import math
from itertools import groupby
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from archbench.report.findings import Findings, heading, short_name
from archbench.report.style import GREY, drawing, drawn, drawn_line, style_of
from archbench.results.comparisons import UNDECIDED
from archbench.results.conditions import Condition
from archbench.results.frames import records

# Of the differences, in inches: between conditions, between members, and of a column.
_CONDITION_GAP, _MEMBER_GAP, _TALLEST = 0.14, 0.13, 6.0
_MOST_COLUMNS = 3


def mmlu_formats(findings: Findings) -> Figure | None:
    """Score by question format and shots, one dot with its interval per member, guessing as a dashed line."""
    conditions = [one for one in findings.answered if one.kind == "mmlu"]
    if not conditions:
        return None
    members = findings.members
    several = len({one.task for one in conditions}) > 1
    width = min(12.0, max(4.2, 1.4 + len(conditions) * (0.45 + 0.17 * len(members))))
    with drawing(width, 3.4) as figure:
        area = figure.add_subplot()
        gap = min(0.15, 0.72 / len(members))
        extremes = []
        for index, member in enumerate(members):
            style = style_of(index)
            found = [(at, row) for at, one in enumerate(conditions) if (row := findings.score(member, one))]
            x = [at + (index - (len(members) - 1) / 2) * gap for at, _ in found]
            y = [100 * row["score"] for _, row in found]
            bounds = [
                [100 * abs(row["score"] - row[end]) if not math.isnan(row[end]) else 0.0 for _, row in found]
                for end in ("low", "high")
            ]
            area.errorbar(
                x,
                y,
                yerr=bounds,
                fmt=style.marker,
                color=style.colour,
                markersize=5,
                elinewidth=1.2,
                capsize=2,
                label=drawn(member, 36, 2),
            )
            extremes += [
                value for one, low, high in zip(y, *bounds, strict=True) for value in (one - low, one + high)
            ]
        handles, labels = area.get_legend_handles_labels()
        for at, one in enumerate(conditions):
            if one.chance is not None:
                ends, level = [at - 0.45, at + 0.45], 100 * one.chance
                handles[len(members) :] = area.plot(
                    ends, [level] * 2, color=GREY, linestyle=(0, (4, 3)), linewidth=1
                )
                labels[len(members) :] = ["guessing"]
                extremes.append(level)
        area.set_ylim(
            max(0, 5 * math.floor((min(extremes) - 1) / 5)),
            min(100.5, 5 * math.ceil((max(extremes) + 1) / 5)),
        )
        area.set_xlim(-0.6, len(conditions) - 0.4)
        area.set_ylabel("score, %")
        area.grid(axis="y", color="#E6E6E6", linewidth=0.7)
        area.set_axisbelow(True)
        heads = [heading(one, several) for one in conditions]
        area.set_xticks(range(len(conditions)), [drawn(name, 14) for _, name in heads])
        area.tick_params(axis="x", length=0)
        _group_labels(area, [group for group, _ in heads])
        columns = 2 if max(map(len, labels)) > 16 else min(4, len(labels))
        figure.legend(handles, labels, loc="outside lower center", ncols=columns)
    return figure


def _group_labels(area: Axes, groups: list[str]) -> None:
    """Name runs of neighbouring columns above the plot, and part them by a line."""
    at = 0
    for group, members in groupby(groups):
        count = len(list(members))
        area.text(
            at + (count - 1) / 2,
            1.02,
            drawn(group, max(10, 12 * count)),
            transform=area.get_xaxis_transform(),
            ha="center",
            va="bottom",
        )
        at += count
        if at < len(groups):
            area.axvline(at - 0.5, color="#CCCCCC", linewidth=0.8)


def differences(findings: Findings) -> Figure | None:
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
