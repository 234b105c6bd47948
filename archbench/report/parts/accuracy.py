"""Scores of every member in every condition."""

from __future__ import annotations

from archbench.report.findings import Findings
from archbench.report.grid import grid
from archbench.report.part import TablePart
from archbench.report.table import Sheet, Table, stamped
from archbench.report.words.captions import (
    interval_methods,
    items_caption,
    leaders_caption,
    margins_note,
    metric_caption,
)
from archbench.report.words.naming import with_interval

WIDEST = 6
"""Conditions that fit next to each other."""


def accuracy(findings: Findings) -> Sheet | None:
    """Members × conditions, every score with its interval; one table a task where one would be too wide."""
    everything = findings.graded
    if not everything:
        return None
    tables: list[Table] = []
    tasks = list(dict.fromkeys(one.task for one in everything))
    wide = len(everything) > WIDEST and len(tasks) > 1
    for task in tasks if wide else [None]:
        conditions = [one for one in everything if task in (None, one.task)]
        caption = (
            f"Score in percent and, in brackets, its {findings.level} interval"
            f"{interval_methods(findings.of_graded(findings.scores))}. {leaders_caption(findings)}"
            f"{items_caption(findings, conditions)} {metric_caption(conditions)}"
        )
        title = "Accuracy" if task is None else f"Accuracy, {task}"
        notes = [] if tables else margins_note(findings)
        tables.append(grid(findings, title, caption, conditions, with_interval, notes))
    return Sheet("accuracy", tables, stamped(findings.scores, findings.stamp))


PARTS = (TablePart("accuracy", accuracy, 10),)
