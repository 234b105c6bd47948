"""What is reported of RULER: averages by length, the effective length, each task, and scores by depth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from archbench.report.findings import Findings
from archbench.report.part import TablePart
from archbench.report.recall import (
    BEYOND,
    beyond_caption,
    counted_items,
    is_beyond,
    rows_of,
)
from archbench.report.table import MISSING, Cell, Column, Sheet, Table, stamped
from archbench.report.words.naming import by_cell, points, with_interval
from archbench.statistics.estimates import Estimate, combined
from archbench.tasks.ruler.report.lengths import THRESHOLD, effective_length, length_weights
from archbench.tasks.ruler.report.selection import entries_of, length_of, tasks_of
from archbench.tasks.ruler.subtasks import TASKS

_Row = dict[str, Any]


def averages(findings: Findings) -> Sheet | None:
    """Every member's average over the tasks at each length, and over the lengths; the effective length."""
    groups = entries_of(findings)
    if not groups:
        return None
    macro = findings.results.macro(confidence=findings.settings.confidence)
    macro = macro[macro["kind"] == "ruler"]
    found, items = by_cell(macro), counted_items(findings, "ruler")
    tables, data = [], [macro.assign(over="tasks")]
    for task, conditions in groups.items():
        lengths = [length_of(one) for one in conditions]
        kinds = tasks_of(rows_of(items, conditions))
        if not kinds:
            continue
        evaluated = [set(tasks_of(here)) for one in conditions if len(here := rows_of(items, [one]))]
        uneven = any(one != set(kinds) for one in evaluated)
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
    groups = entries_of(findings)
    if not groups:
        return None
    data = findings.scores_by("subject")
    data = data[data["kind"] == "ruler"]
    found, items = by_cell(data, "subject"), counted_items(findings, "ruler")
    tables = []
    for task, conditions in groups.items():
        kinds = tasks_of(rows_of(items, conditions))
        counts = sorted({count for count in data.loc[data["task"] == task, "n"] if count})
        if not counts:
            continue
        rows: list[list[Cell | str]] = []
        for condition in conditions:
            for at, member in enumerate(findings.members):
                cells = [found.get((member, task, condition.variant, kind)) for kind in kinds]
                texts = [MISSING if row is None else points(row["score"]) for row in cells]
                rows.append([f"{length_of(condition):,}" if at == 0 else "", member, *texts])
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


PARTS = (
    TablePart("ruler", averages, 40, heading="RULER"),
    TablePart("ruler_tasks", by_task, 41, heading="RULER tasks"),
)
