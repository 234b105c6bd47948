"""Tables of parts: scores by subject and category, and the whole averaged over questions or subjects."""

from __future__ import annotations

import pandas as pd

from archbench.report.findings import Findings
from archbench.report.part import TablePart
from archbench.report.table import Cell, Column, Sheet, Table, stamped
from archbench.report.words.captions import metric_caption
from archbench.report.words.naming import by_cell, short_name, with_interval
from archbench.results.conditions import natural


def subjects(findings: Findings) -> Sheet | None:
    """Every subject, one table per condition."""
    data = findings.scores_by("subject")
    found = by_cell(data, "subject")
    tables = []
    for condition in findings.conditions:
        here = data[(data["task"] == condition.task) & (data["variant"] == condition.variant)]
        counts = here.groupby("subject", sort=True)["n"].max().to_dict()
        rows: list[list[Cell | str]] = []
        for name, count in counts.items():
            cells = [found.get((one, condition.task, condition.variant, name)) for one in findings.members]
            rows.append([str(name), f"{count:,}", *map(with_interval, cells)])
        if rows:
            title = f"Subjects, {short_name(condition, findings.conditions)}"
            caption = f"Score in percent and, in brackets, its {findings.level} interval."
            columns = [Column("subject", words=True), Column("items"), *map(Column, findings.members)]
            caption = f"{caption} {metric_caption([condition])}"
            tables.append(Table(title, caption, columns, rows, findings.stamp))
    return Sheet("subjects", tables, stamped(data, findings.stamp)) if tables else None


def categories(findings: Findings) -> Sheet | None:
    """Every category, and the whole twice: averaged over questions and over subjects."""
    data = findings.scores_by("category")
    if data.empty:
        return None
    names = sorted(set(data["category"]), key=natural)
    macro = findings.results.macro(confidence=findings.settings.confidence)
    found, averages = by_cell(data, "category"), by_cell(macro)
    rows: list[list[Cell | str]] = []
    rules = set()
    for condition in findings.conditions:
        rules.add(len(rows))
        for member in findings.members:
            cell = member, condition.task, condition.variant
            cells = [*(found.get((*cell, name)) for name in names), findings.score(member, condition)]
            label = short_name(condition, findings.conditions) if len(rows) in rules else ""
            rows.append([label, member, *map(with_interval, [*cells, averages.get(cell)])])
    columns = [Column("condition", words=True), Column("member", words=True)]
    columns += [Column(name, "category") for name in names]
    columns += [Column("questions", "average over"), Column("subjects", "average over")]
    caption = (
        f"Score in percent and, in brackets, its {findings.level} interval. Over questions, every question "
        f"weighs the same; over subjects, every subject does. {metric_caption(findings.conditions)}"
    )
    table = Table("Categories", caption, columns, rows, findings.stamp, frozenset(rules))
    whole = [
        findings.scores.assign(category="(average over questions)"),
        macro.assign(category="(average over subjects)"),
    ]
    every = pd.concat([data, *(frame[data.columns] for frame in whole)], ignore_index=True)
    return Sheet("categories", [table], stamped(every, findings.stamp))


PARTS = (
    TablePart("categories", categories, 90),
    TablePart("subjects", subjects, 91, instead="One line for each subject, too long for this page."),
)
