"""What is reported of RULER: averages by length, the effective length, each task, and scores by depth."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from archbench.report.findings import Findings, by_cell, points, with_interval
from archbench.report.recall import (
    BEYOND,
    Curve,
    beyond_caption,
    counted_items,
    is_beyond,
    panels,
    rows_of,
    size_of,
)
from archbench.report.style import drawing, drawn
from archbench.report.table import MISSING, Cell, Column, Sheet, Table, stamped
from archbench.results.comparisons import scores_of
from archbench.results.conditions import Condition
from archbench.statistics.estimates import Estimate, combined, macro_mean
from archbench.tasks.ruler.scoring import THRESHOLD, effective_length, length_weights
from archbench.tasks.ruler.tasks import TASKS

_DEPTHS = 10
_IN_A_ROW = 4
_FEW = 5
_Row = dict[str, Any]


def averages(findings: Findings) -> Sheet | None:
    """Every member's average over the tasks at each length, and over the lengths; the effective length."""
    groups = _groups(findings)
    if not groups:
        return None
    macro = findings.results.macro(confidence=findings.settings.confidence)
    macro = macro[macro["kind"] == "ruler"]
    found, items = by_cell(macro), counted_items(findings, "ruler")
    tables, data = [], [macro.assign(over="tasks")]
    for task, conditions in groups.items():
        lengths = [_length(one) for one in conditions]
        kinds = _tasks(rows_of(items, conditions))
        if not kinds:
            continue
        asked = [set(_tasks(here)) for one in conditions if len(here := rows_of(items, [one]))]
        uneven = any(one != set(kinds) for one in asked)
        whole = set(kinds) == set(TASKS) and not uneven
        rows: list[list[Cell | str]] = []
        for member in findings.members:
            scores = [found.get((member, task, one.variant)) for one in conditions]
            cells: list[Cell | str] = []
            for condition, row in zip(conditions, scores, strict=True):
                mark = BEYOND if is_beyond(findings, member, rows_of(items, [condition], member)) else ""
                cells.append(Cell(with_interval(row), mark=mark))
            over = _over_lengths(scores)
            data += [
                pd.DataFrame([{"member": member, "task": task, "kind": "ruler", "over": name, **row}])
                for name, row in over.items()
                if row is not None
            ]
            cells += [with_interval(row) for row in over.values()]
            rows.append([member, *cells, *([_effective(lengths, scores)] if whole else [])])
        columns = [Column("member", words=True), *(Column(f"{one:,}", "tokens") for one in lengths)]
        columns += [Column(name, "over lengths") for name in ("average", "increasing", "decreasing")]
        columns += [Column("effective length")] if whole else []
        left = ", or those of them that items are left of" if uneven else ""
        caption = (
            f"RULER, in percent with {findings.level} intervals: the average over {len(kinds)} of its "
            f"{len(TASKS)} tasks at each length{left}. Increasing, decreasing: average over the lengths with "
            "weights 1, 2, 3, ... from the shortest, or from the longest. "
        )
        if len(kinds) > 1:
            caption += (
                "These tasks are taken as fixed and only their items as a sample, so that the intervals may "
                "be narrower than those of the accuracy table. "
            )
        if whole:
            caption += (
                f"Effective length: the longest one with an average above {100 * THRESHOLD:g} %, the score "
                "of Llama-2-7B (chat) at 4K in the published RULER; the texts here are archbench's own."
            )
        else:
            caption += "Without all of them there is no effective length."
        title = "RULER" if len(groups) == 1 else f"RULER, {task}"
        tables.append(Table(title, caption + beyond_caption(findings), columns, rows, findings.stamp))
    if not tables:
        return None
    return Sheet("ruler", tables, stamped(pd.concat(data, ignore_index=True), findings.stamp))


def by_task(findings: Findings) -> Sheet | None:
    """Every task at every length."""
    groups = _groups(findings)
    if not groups:
        return None
    data = findings.scores_by("subject")
    data = data[data["kind"] == "ruler"]
    found, items = by_cell(data, "subject"), counted_items(findings, "ruler")
    tables = []
    for task, conditions in groups.items():
        kinds = _tasks(rows_of(items, conditions))
        counts = sorted({count for count in data.loc[data["task"] == task, "n"] if count})
        if not counts:
            continue
        rows: list[list[Cell | str]] = []
        for condition in conditions:
            for at, member in enumerate(findings.members):
                cells = [found.get((member, task, condition.variant, kind)) for kind in kinds]
                texts = [MISSING if row is None else points(row["score"]) for row in cells]
                rows.append([f"{_length(condition):,}" if at == 0 else "", member, *texts])
        columns = [Column("tokens"), Column("member", words=True)]
        columns += [Column(kind, TASKS[kind].category) for kind in kinds]
        n = f"{counts[0]:,}" + (f" to {counts[-1]:,}" if len(counts) > 1 else "")
        caption = (
            f"RULER's tasks, in percent; n = {n} items of each task and length. Question answering: one of "
            "the references is in the answer. The others: share of the references that are. The intervals "
            "are in the table of subjects."
        )
        title = "RULER by task" if len(groups) == 1 else f"RULER by task, {task}"
        rules = frozenset(range(0, len(rows), len(findings.members)))
        tables.append(Table(title, caption, columns, rows, findings.stamp, rules))
    if not tables:
        return None
    return Sheet("ruler_tasks", tables, stamped(data, findings.stamp))


def lengths(findings: Findings) -> Figure | None:
    """Average scores against the length: of all tasks, and of each category of tasks."""
    groups, items = _groups(findings), counted_items(findings, "ruler")
    if not groups:
        return None
    conditions = [one for group in groups.values() for one in group]
    kinds = list(dict.fromkeys(TASKS[kind].category for kind in _tasks(items)))
    names = ["all tasks", *kinds] if len(kinds) > 1 else kinds

    def curve(name: str, member: str) -> Curve:
        found = []
        for length in sorted({_length(one) for one in conditions}):
            mine = rows_of(items, [one for one in conditions if _length(one) == length], member)
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
        ticks=sorted({_length(one) for one in conditions}),
        logarithmic=True,
    )


def depths(findings: Findings) -> Figure | None:
    """Heat map: needles found by depth and length, over the tasks that ask for one needle."""
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
    few = f"; fewer than {_FEW} are told in brackets" if low < _FEW else ""
    return f"{span}{few}" + ("; white: no item has its needle there" if np.isnan(known).any() else "")


def _heat(area: Axes, grid: npt.NDArray[np.float64], counts: npt.NDArray[np.float64]) -> Any:
    """Draw a grid of percentages, the numbers in its cells; the shallowest on top.

    Args:
        area: Where.
        grid: Percentages, shape (depths, lengths); NaN where there is no item.
        counts: Items behind each, of the same shape; few ones are told in brackets.
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


def _over_lengths(scores: Sequence[_Row | None]) -> dict[str, _Row | None]:
    """Average, wAvg(inc) and wAvg(dec) of a member; none where it lacks a length."""
    known = [row for row in scores if row is not None]
    weights = {
        "lengths": [1 / len(scores)] * len(scores),
        "lengths, increasing weights": length_weights(len(scores), increasing=True),
        "lengths, decreasing weights": length_weights(len(scores), increasing=False),
    }
    if len(known) < len(scores):
        return dict.fromkeys(weights)
    parts = [Estimate(**{name: row[name] for name in Estimate._fields}) for row in known]
    return {name: combined(parts, one)._asdict() for name, one in weights.items()}


def _effective(lengths: Sequence[int], scores: Sequence[_Row | None]) -> str:
    found = {
        length: float(row["score"]) for length, row in zip(lengths, scores, strict=True) if row is not None
    }
    if not found:
        return MISSING
    longest = effective_length(found)
    if longest is None:
        return f"under {min(found):,}"
    return f"≥ {longest:,}" if longest == max(found) else f"{longest:,}"


def _groups(findings: Findings) -> dict[str, list[Condition]]:
    """Conditions of each of the suite's RULER entries, from the shortest length to the longest."""
    found: dict[str, list[Condition]] = {}
    for one in findings.conditions:
        if one.kind == "ruler":
            found.setdefault(one.task, []).append(one)
    return {task: sorted(conditions, key=_length) for task, conditions in found.items()}


def _length(condition: Condition) -> int:
    size = size_of(condition)
    return 0 if size is None else size[1]


def _tasks(items: pd.DataFrame) -> list[Any]:
    """RULER's tasks that items are of, in RULER's order."""
    asked = set(items["subject"]) if len(items) else set()
    return [task for task in TASKS if task in asked]
