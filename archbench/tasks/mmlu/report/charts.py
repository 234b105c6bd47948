"""MMLU in a figure: a dot plot by question format and number of shots."""

from __future__ import annotations

import math
from itertools import groupby

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from archbench.report.findings import Findings
from archbench.report.part import FigurePart
from archbench.report.style import GREY, drawing, drawn, style_of
from archbench.report.words.naming import heading


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
                clip_on=False,  # a marker at 0 or 100 % is drawn whole
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


PARTS = (
    FigurePart(
        "mmlu_formats", mmlu_formats, "MMLU by question format and number of shots, with intervals.", 20
    ),
)
