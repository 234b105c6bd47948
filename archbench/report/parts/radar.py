"""The radar chart: every member as one closed line over the task groups, guessing as a dashed one."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from archbench.report.findings import Findings
from archbench.report.part import FigurePart
from archbench.report.style import GREY, drawing, drawn, style_of
from archbench.report.words.naming import by_cell, short_name
from archbench.results.conditions import Condition, natural

FEWEST, MOST = 3, 12
"""Axes that a radar chart can have: fewer make no area, more cannot be read."""


_NEAR = 0.06
"""Part of the radius within which a ring's number and guessing's line would touch: above half its height."""


class Axis(NamedTuple):
    """One axis: its label, every member's score, low and high (None where missing), and guessing's score."""

    label: str
    scores: dict[str, tuple[float, float, float] | None]
    chance: float | None


def axes_of(findings: Findings) -> list[Axis]:
    """Choose the axes: the first of these that gives 3 to 12 of them.

    1. one per condition, such as MMLU's format × shots;
    2. one per condition × category;
    3. one per condition × subject;
    4. one per task and format, such as MMLU's: the mean over its conditions, without intervals
       since conditions share their items;
    5. one per task, the mean over its conditions.

    Losses are no axes: they are not in percent of anything right. Nor is what nobody has a score in.

    Returns:
        The axes; empty where none of these fits.
    """
    conditions = findings.graded
    choices: list[Callable[[], list[Axis]]] = [
        lambda: [Axis(short_name(one, conditions), _scores(findings, one), one.chance) for one in conditions],
        lambda: _by_group(findings, "category"),
        lambda: _by_group(findings, "subject"),
        lambda: _means(findings, lambda one: f"{one.task} {dict(one.labels).get('format') or ''}".rstrip()),
        lambda: _means(findings, lambda one: one.task),
    ]
    shown = ([axis for axis in choice() if any(axis.scores.values())] for choice in choices)
    return next((axes for axes in shown if FEWEST <= len(axes) <= MOST), [])


def _triple(row: dict[str, Any] | None) -> tuple[float, float, float] | None:
    return None if row is None else (row["score"], row["low"], row["high"])


def _scores(findings: Findings, condition: Condition) -> dict[str, tuple[float, float, float] | None]:
    return {member: _triple(findings.score(member, condition)) for member in findings.members}


def _by_group(findings: Findings, column: str) -> list[Axis]:
    data = findings.scores_by(column)
    found = by_cell(data, column)
    axes = []
    for condition in findings.graded:
        here = data[(data["task"] == condition.task) & (data["variant"] == condition.variant)]
        for group in sorted(set(here[column]), key=natural):
            label = f"{short_name(condition, findings.graded)} {group}" if len(findings.graded) > 1 else group
            scores = {
                member: _triple(found.get((member, condition.task, condition.variant, group)))
                for member in findings.members
            }
            axes.append(Axis(label, scores, condition.chance))
    return axes


def _means(findings: Findings, name: Callable[[Condition], str]) -> list[Axis]:
    """One axis for all conditions of a name."""
    axes = []
    for label in dict.fromkeys(map(name, findings.graded)):
        conditions = [one for one in findings.graded if name(one) == label]
        scores: dict[str, tuple[float, float, float] | None] = {}
        for member in findings.members:
            found = [findings.score(member, one) for one in conditions]
            means = [row["score"] for row in found if row is not None]
            scores[member] = (float(np.mean(means)), math.nan, math.nan) if len(means) == len(found) else None
        chances = [one.chance for one in conditions if one.chance is not None]
        axes.append(Axis(label, scores, float(np.mean(chances)) if len(chances) == len(conditions) else None))
    return axes


def radar(findings: Findings) -> Figure | None:
    """Draw the chart, or nothing where no choice of axes gives 3 to 12."""
    axes = axes_of(findings)
    if not axes:
        return None
    angles = math.pi / 2 - 2 * math.pi * np.arange(len(axes)) / len(axes)  # from the top, clockwise
    highs = [
        max(one[0], one[2] if not math.isnan(one[2]) else 0)
        for axis in axes
        for one in axis.scores.values()
        if one
    ]
    highest = 100 * max([*highs, *(axis.chance or 0 for axis in axes)])
    step = next((step for step in (2, 5, 10) if highest / step <= 6), 20)
    top = step * max(1, math.ceil(highest / step - 1e-9))
    with drawing(6.4, 5.6) as figure:
        area = figure.add_subplot(aspect="equal")
        area.axis("off")
        _web(area, angles, top, step, axes)
        if any(axis.chance is not None for axis in axes):
            x, y = _ring(
                angles, [math.nan if axis.chance is None else 100 * axis.chance for axis in axes], top
            )
            area.plot(x, y, color=GREY, linestyle=(0, (4, 3)), linewidth=1.1, label="guessing", zorder=2)
        for index, member in enumerate(findings.members):
            style = style_of(index)
            scores = [axis.scores[member] or (math.nan,) * 3 for axis in axes]
            centre, low, high = (np.array([100 * one[part] for one in scores]) for part in range(3))
            if not np.isnan([low, high]).any():
                outer, inner = _ring(angles, high, top), _ring(angles, low, top)
                band = np.concatenate([np.transpose(outer), np.transpose(inner)[::-1]])
                area.fill(*band.T, color=style.colour, alpha=0.13, linewidth=0, zorder=1)
            x, y = _ring(angles, centre, top)
            area.plot(
                x,
                y,
                color=style.colour,
                linestyle=style.line,
                marker=style.marker,
                markersize=4.5,
                linewidth=1.5,
                label=drawn(member, 36, 2),
                zorder=3,
            )
        handles, labels = area.get_legend_handles_labels()
        shift = 1 if labels and labels[0] == "guessing" else 0
        figure.legend(
            handles[shift:] + handles[:shift],
            labels[shift:] + labels[:shift],
            loc="outside lower center",
            ncols=min(len(labels), 2 if max(map(len, labels)) > 16 else 4),
        )
    return figure


def _ring(angles: npt.NDArray[np.float64], values: Any, top: float) -> tuple[Any, Any]:
    """A closed line through one value per axis, as x and y with the outermost ring at 1."""
    radius = np.append(values, values[0]) / top
    around = np.append(angles, angles[0])
    return radius * np.cos(around), radius * np.sin(around)


def _web(area: Axes, angles: npt.NDArray[np.float64], top: float, step: float, axes: list[Axis]) -> None:
    guessing = axes[0].chance
    for value in np.arange(step, top + 1e-9, step):
        area.plot(*_ring(angles, np.full(len(angles), value), top), color="#DDDDDD", linewidth=0.7, zorder=0)
        # On the first axis, where guessing's line passes too: a number beside that line moves away from it.
        off = math.inf if guessing is None else (value - 100 * guessing) / top
        along = "center" if abs(off) > _NEAR else "bottom" if off > 0 else "top"
        number = area.text(0.012, value / top, f"{value:g} %", color=GREY, fontsize=7, va=along, zorder=4)
        number.set_path_effects([withStroke(linewidth=2, foreground="white")])
    for angle, label in zip(angles, [axis.label for axis in axes], strict=True):
        x, y = math.cos(angle), math.sin(angle)
        area.plot([0, x], [0, y], color="#DDDDDD", linewidth=0.7, zorder=0)
        across = "center" if abs(x) < 0.2 else ("left" if x > 0 else "right")
        along = "center" if abs(y) < 0.2 else ("bottom" if y > 0 else "top")
        area.text(1.06 * x, 1.06 * y, drawn(label, 18), ha=across, va=along)
    area.set_xlim(-1.55, 1.55)
    area.set_ylim(-1.2, 1.2)


PARTS = (
    FigurePart(
        "radar",
        radar,
        "Scores by task group, with intervals where an axis is one condition; the dashed line is guessing.",
        10,
        absent=f"No radar chart: the run gives no choice of {FEWEST} to {MOST} axes.",
    ),
)
