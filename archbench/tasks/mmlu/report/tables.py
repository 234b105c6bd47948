"""MMLU by question format and number of shots, as papers print it."""

from __future__ import annotations

from archbench.report.findings import Findings
from archbench.report.grid import grid
from archbench.report.part import TablePart
from archbench.report.table import Sheet, stamped
from archbench.report.words.captions import (
    items_caption,
    leaders_caption,
    metric_caption,
)
from archbench.report.words.naming import points


def mmlu_formats(findings: Findings) -> Sheet | None:
    """MMLU by question format and shots, bare numbers as papers print them."""
    tables = []
    for task in dict.fromkeys(one.task for one in findings.answered if one.kind == "mmlu"):
        conditions = [one for one in findings.conditions if one.task == task]
        caption = (
            f"Score on {task} in percent, by question format and number of shots. {leaders_caption(findings)}"
            f"{items_caption(findings, conditions)} {metric_caption(conditions)}"
        )
        tables.append(grid(findings, "MMLU formats", caption, conditions, lambda row: points(row["score"])))
    data = findings.scores[findings.scores["kind"] == "mmlu"]
    return Sheet("mmlu_formats", tables, stamped(data, findings.stamp)) if len(data) else None


PARTS = (
    TablePart(
        "mmlu_formats",
        mmlu_formats,
        20,
        heading="MMLU formats",
        instead="The numbers of the accuracy table, laid out by format and shots.",
    ),
)
