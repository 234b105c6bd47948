"""What charts over lengths share: panels of lines, and which contexts are longer than trained on."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from archbench.report.findings import Findings
from archbench.report.style import GREY, drawing, drawn, style_of
from archbench.results.conditions import Condition

BEYOND = "‡"
"""Marks contexts longer than those a member was trained on."""

Curve = list[tuple[float, float, float, float, bool]]
"""Points of a line: x, value and both ends of its interval, and whether it is drawn hollow."""


def training_lengths(findings: Findings) -> dict[str, int]:
    """Tokens of the context that each member was trained on, where its family states it."""
    members = findings.results.manifest.get("members", [])
    return {str(one["name"]): int(one["training_length"]) for one in members if one.get("training_length")}


def is_beyond(findings: Findings, member: str, rows: pd.DataFrame) -> bool:
    """Whether the prompts of these items are on average longer than what the member was trained on.

    A context of unknown length is not called longer.
    """
    trained, tokens = training_lengths(findings).get(member), prompt_tokens(rows)
    return trained is not None and tokens is not None and tokens > trained


def prompt_tokens(rows: pd.DataFrame) -> float | None:
    """Mean length of the prompts of these items, in tokens; None where it is not known."""
    known = rows["prompt_tokens"].dropna().to_numpy(dtype=np.float64) if len(rows) else np.empty(0)
    return float(known.mean()) if len(known) else None


def beyond_caption(findings: Findings) -> str:
    """What the mark means; nothing where no family says how long its members' training contexts were."""
    if not training_lengths(findings):
        return ""
    return f" {BEYOND}: the prompts are on average longer than the contexts the member was trained on."


def counted_items(findings: Findings, kind: str) -> pd.DataFrame:
    """Items of all entries of a kind, but for those left out; empty where there is no such entry."""
    tasks = dict.fromkeys(one.task for one in findings.conditions if one.kind == kind)
    frames = [items for items in map(findings.items, tasks) if len(items)]
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()


def rows_of(items: pd.DataFrame, conditions: Sequence[Condition], member: str | None = None) -> pd.DataFrame:
    """Those of `items` that belong to any of the conditions, of one member or of all."""
    if items.empty:
        return items
    cells = {(one.task, one.variant) for one in conditions}
    found = items[[cell in cells for cell in zip(items["task"], items["variant"], strict=True)]]
    return found if member is None else found[found["member"] == member]


def panels(
    findings: Findings,
    names: Sequence[str],
    curve: Callable[[str, str], Curve],
    *,
    x_label: str,
    y_label: str,
    ticks: Sequence[float],
    logarithmic: bool = False,
    across: int | None = None,
    guessing: Callable[[str], list[tuple[float, float]]] | None = None,
    limits: tuple[float, float] | None = (-3, 103),
) -> Figure | None:
    """Line charts side by side, one per name, one line with intervals per member.

    Members are drawn a little apart, so that equal points and their intervals do not hide each other.

    Args:
        findings: The statistics.
        names: Headings of the panels, lines of their own where they have any.
        curve: The points of a (panel, member); none where it has no items.
        x_label: What runs along the panels.
        y_label: What is shown.
        ticks: Where the horizontal axis is labelled.
        logarithmic: Whether the horizontal axis is.
        across: Panels in a row; all of them if None.
        guessing: Points of a panel's line for guessing, in percent.
        limits: Ends of the vertical axis; Matplotlib's choice if None.
    """
    lines = {(name, member): curve(name, member) for name in names for member in findings.members}
    if not any(lines.values()):
        return None
    columns = min(len(names), across or len(names))
    rows = math.ceil(len(names) / columns)
    with drawing(min(12.0, 1.2 + 3.2 * columns), 0.6 + 2.8 * rows) as figure:
        grid = figure.subplots(rows, columns, sharey=True, squeeze=False)
        areas = grid.ravel()
        for area in areas[len(names) :]:
            area.set_axis_off()
        for area, name in zip(areas[: len(names)], names, strict=True):
            for index, member in enumerate(findings.members):
                if lines[name, member]:
                    count = len(findings.members)
                    shift = (index - (count - 1) / 2) * min(0.06, 0.5 / count)
                    _line(area, _dodged(lines[name, member], shift, ticks, logarithmic), index)
            if guessing is not None and (points := guessing(name)):
                area.plot(*zip(*points, strict=True), color=GREY, linestyle=(0, (4, 3)), linewidth=1)
            if logarithmic:
                area.set_xscale("log", base=2)
            area.set_xticks(ticks, [f"{tick:,g}" for tick in ticks], rotation=90 if len(ticks) > 6 else 0)
            area.minorticks_off()
            if limits is not None:
                area.set_ylim(*limits)
            area.set_title("\n".join(drawn(line, 30, 2) for line in name.splitlines()))
            area.set_xlabel(x_label)
            area.grid(axis="y", color="#E6E6E6", linewidth=0.7)
            area.set_axisbelow(True)
        for area in grid[:, 0]:
            area.set_ylabel(y_label)
        figure.legend(
            handles=_legend(findings, lines.values(), guessing is not None),
            loc="outside lower center",
            ncols=3,
        )
    return figure


def _dodged(points: Curve, shift: float, ticks: Sequence[float], logarithmic: bool) -> Curve:
    """A member's points moved aside.

    Args:
        points: The points.
        shift: How far, in shares of the narrowest step between ticks.
        ticks: The axis' ticks.
        logarithmic: Whether the axis is.
    """
    marks = np.sort(np.log2(ticks) if logarithmic else np.asarray(ticks, dtype=np.float64))
    step = float(np.diff(marks).min()) if len(marks) > 1 else 1.0
    # Steps of a doubling or more are wide; closer ticks leave as much room as they have.
    move = shift * (min(step, 1.0) if logarithmic else step)
    return [(x * 2**move if logarithmic else x + move, *rest) for x, *rest in points]  # type: ignore[misc]


def _line(area: Axes, points: Curve, index: int) -> None:
    style = style_of(index)
    x, y = [point[0] for point in points], [point[1] for point in points]
    bounds = [[max(0.0, p[1] - p[2]) for p in points], [max(0.0, p[3] - p[1]) for p in points]]
    area.errorbar(x, y, yerr=bounds, fmt="none", ecolor=style.colour, elinewidth=1, capsize=2, alpha=0.8)
    area.plot(x, y, color=style.colour, linestyle=style.line, linewidth=1.3)
    for point in points:
        face = "white" if point[4] else style.colour
        area.plot(
            point[0], point[1], marker=style.marker, color=style.colour, markerfacecolor=face, markersize=5
        )


def _legend(findings: Findings, curves: Any, guessing: bool) -> list[Line2D]:
    handles = []
    for index, member in enumerate(findings.members):
        style = style_of(index)
        name = drawn(member, 36, 2)
        handles.append(
            Line2D([], [], color=style.colour, marker=style.marker, linestyle=style.line, label=name)
        )
    if any(point[4] for curve in curves for point in curve):
        hollow = Line2D([], [], color=GREY, marker="o", linestyle="", markerfacecolor="white")
        hollow.set_label("hollow: longer than trained on")
        handles.append(hollow)
    if guessing:
        handles.append(Line2D([], [], color=GREY, linestyle=(0, (4, 3)), label="guessing"))
    return handles


def size_of(condition: Condition) -> tuple[str, int] | None:
    """Unit (`entries` or `length`) and size that a condition's labels state."""
    labels = dict(condition.labels)
    return next(((unit, int(labels[unit])) for unit in ("entries", "length") if labels.get(unit)), None)
