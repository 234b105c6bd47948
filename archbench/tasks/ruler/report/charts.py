"""RULER in figures: averages by length, and needles found by depth."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from archbench.report.findings import Findings
from archbench.report.part import FigurePart
from archbench.report.recall import (
    Curve,
    counted_items,
    is_beyond,
    panels,
    rows_of,
)
from archbench.report.style import drawing, drawn
from archbench.results.comparisons import scores_of
from archbench.statistics.estimates import macro_mean
from archbench.tasks.ruler.report.selection import entries_of, length_of, tasks_of
from archbench.tasks.ruler.subtasks import TASKS

_DEPTHS = 10
_IN_A_ROW = 4
_FEW = 5


def lengths(findings: Findings) -> Figure | None:
    """Average scores against the length: of all tasks, and of each category of tasks."""
    groups, items = entries_of(findings), counted_items(findings, "ruler")
    if not groups:
        return None
    conditions = [one for group in groups.values() for one in group]
    kinds = list(dict.fromkeys(TASKS[kind].category for kind in tasks_of(items)))
    names = ["all tasks", *kinds] if len(kinds) > 1 else kinds

    def curve(name: str, member: str) -> Curve:
        found = []
        for length in sorted({length_of(one) for one in conditions}):
            mine = rows_of(items, [one for one in conditions if length_of(one) == length], member)
            here = mine if name == "all tasks" else mine[mine["category"] == name]
            here = here[here["string_match"].notna()] if len(here) else here
            if len(here):
                strata = here["subject"].astype(str).to_numpy(dtype=np.str_)
                score = macro_mean(scores_of(here["string_match"]), strata, findings.settings.confidence)
                known = not math.isnan(score.low)
                low, high = (score.low, score.high) if known else (score.score, score.score)
                hollow = is_beyond(findings, member, mine)
                found.append((float(length), 100 * score.score, 100 * low, 100 * high, hollow))
        return found

    return panels(
        findings,
        names,
        curve,
        x_label="tokens",
        y_label="score, %",
        ticks=sorted({length_of(one) for one in conditions}),
        logarithmic=True,
    )


def depths(findings: Findings) -> Figure | None:
    """Heat map: needles found by depth and length, over the tasks with one queried needle."""
    items = counted_items(findings, "ruler")
    if "depth" not in items:
        return None
    needles = items[(items["category"] == "retrieval") & items["depth"].notna()]
    if needles.empty:
        return None
    sizes = sorted({int(one) for one in needles["length"]})
    grids = {
        member: [
            grid.reindex(index=range(_DEPTHS), columns=sizes)
            for grid in _grids(needles[needles["member"] == member])
        ]
        for member in findings.members
    }
    across = min(_IN_A_ROW, len(grids))
    down = math.ceil(len(grids) / across)
    short = all(one % 1024 == 0 for one in sizes)
    with drawing(1.4 + across * (0.9 + 0.42 * len(sizes)), 0.5 + 2.9 * down) as figure:
        areas = figure.subplots(down, across, sharex=True, sharey=True, squeeze=False).ravel()
        for area, (member, (means, counts)) in zip(areas, grids.items(), strict=False):
            image = _heat(area, 100 * means.to_numpy(dtype=np.float64), counts.to_numpy(dtype=np.float64))
            area.set_title(drawn(member, 24, 2))
            area.set_xticks(range(len(sizes)), [f"{one // 1024}K" if short else f"{one:,}" for one in sizes])
            area.set_xlabel("tokens")
        for area in areas[len(grids) :]:
            area.set_axis_off()
        for area in areas[::across]:
            ticks = [at - 0.5 for at in range(0, _DEPTHS + 1, 2)]
            area.set_yticks(ticks, [f"{round(100 * (at + 0.5) / _DEPTHS)}" for at in ticks])
            area.set_ylabel("depth, %")
        figure.colorbar(image, ax=list(areas), label="needles found, %", shrink=0.8)
        figure.supxlabel(f"n = {_items_per_cell(grids)}", fontsize=8)
    return figure


def _grids(rows: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Mean score and number of items by tenth of the haystack (rows) and length (columns)."""
    tenth = (rows["depth"] * _DEPTHS // 101).astype(int)
    cells = rows.groupby([tenth, rows["length"].astype(int)])["string_match"]
    return cells.mean().unstack(), cells.count().unstack()


def _items_per_cell(grids: dict[str, list[pd.DataFrame]]) -> str:
    """How many items stand behind a cell, and what brackets mean where some have few."""
    known = np.concatenate([counts.to_numpy(dtype=np.float64).ravel() for _, counts in grids.values()])
    low, high = int(np.nanmin(known)), int(np.nanmax(known))
    span = (f"{low:,}" if low == high else f"{low:,} to {high:,}") + " items a cell"
    few = f"; fewer than {_FEW} are shown in brackets" if low < _FEW else ""
    return f"{span}{few}" + ("; white: no item has its needle there" if np.isnan(known).any() else "")


def _heat(area: Axes, grid: npt.NDArray[np.float64], counts: npt.NDArray[np.float64]) -> Any:
    """Draw a grid of percentages, the numbers in its cells; the shallowest on top.

    Args:
        area: Where.
        grid: Percentages, shape (depths, lengths); NaN where there is no item.
        counts: Items behind each, of the same shape; small ones are shown in brackets.
    """
    image = area.imshow(grid, cmap="cividis", vmin=0, vmax=100, aspect="auto")
    for (y, x), value in np.ndenumerate(grid):
        if not math.isnan(value):
            dark = sum(colormaps["cividis"](value / 100)[:3]) < 1.5
            n = f" ({counts[y, x]:.0f})" if counts[y, x] < _FEW else ""
            colour = "white" if dark else "black"
            area.text(x, y, f"{value:.0f}{n}", ha="center", va="center", fontsize=6, color=colour)
    area.tick_params(length=0)
    for spine in area.spines.values():
        spine.set_visible(False)
    return image


PARTS = (
    FigurePart(
        "ruler", lengths, "RULER: average over tasks by length, of all and of each category of tasks.", 50
    ),
    FigurePart(
        "ruler_depths",
        depths,
        "RULER: needles found, by depth and length; tasks that ask for one needle.",
        51,
    ),
)
