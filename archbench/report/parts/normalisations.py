"""Scores under every way to compare choices."""

from __future__ import annotations

import pandas as pd

from archbench.report.findings import Findings
from archbench.report.grid import WHO, Row
from archbench.report.part import TablePart
from archbench.report.table import Column, Sheet, Table, stamped
from archbench.report.words.captions import (
    METRICS,
)
from archbench.report.words.naming import by_cell, short_name, with_interval


def normalisations(findings: Findings) -> Sheet | None:
    """Every condition under each of its metrics: does the verdict hang on how choices are normalised?"""
    # Only where choices are compared; other tasks show what else they measure in tables of their own.
    conditions = [one for one in findings.conditions if "acc" in one.metrics and len(one.metrics) > 1]
    if not conditions:
        return None
    metrics = list(dict.fromkeys(metric for one in conditions for metric in one.metrics))
    frames = [findings.results.scores(name, confidence=findings.settings.confidence) for name in metrics]
    data = pd.concat([frame[frame["n"] > 0] for frame in frames], ignore_index=True)
    if data.empty:
        return None
    found = by_cell(data, "metric")
    rows: list[Row] = []
    for condition in conditions:
        for at, member in enumerate(findings.members):
            cells = [found.get((member, condition.task, condition.variant, name)) for name in metrics]
            first = (short_name(condition, findings.conditions), condition.metric) if at == 0 else ("", "")
            rows.append([first[0], member, *map(with_interval, cells), first[1]])
    caption = (
        "Score in percent under each way to compare the choices: "
        f"{', '.join(METRICS.get(name, name) for name in metrics)}. In brackets: the {findings.level} "
        "interval. The last column names the metric that the other tables show."
    )
    columns = [*WHO, *map(Column, metrics), Column("primary", words=True)]
    rules = frozenset(range(0, len(rows), len(findings.members)))
    table = Table("Normalisations", caption, columns, rows, findings.stamp, rules)
    return Sheet("normalisations", [table], stamped(data, findings.stamp))


PARTS = (TablePart("normalisations", normalisations, 80),)
