"""What papers printed of the run's models, beside what was measured."""

from __future__ import annotations

import pandas as pd

from archbench.report.findings import Findings
from archbench.report.part import TablePart
from archbench.report.table import MISSING, Cell, Column, Sheet, Table, stamped
from archbench.report.words.captions import metric_caption
from archbench.report.words.naming import points, short_name, with_interval
from archbench.results.published import Paper, models_of, published_score

SECOND_HAND = "§"
"""Marks printed scores that a third party states."""
INDEPENDENT = "¶"
"""Marks scores that others than the authors measured on the released weights."""

_MARKS = {"direct": "", "second-hand": SECOND_HAND, "independent": INDEPENDENT}


def published(findings: Findings) -> Sheet | None:
    """Measured and published scores of the members that are, or stand for, models of a paper.

    Raises:
        RequestError: `report.published` names a member or a model that there is not.
    """
    models = models_of(findings.members, findings.results.manifest, findings.settings.published)
    rows: list[list[Cell | str]] = []
    data, rules, used, conditions = [], set(), dict[str, Paper](), []
    for condition in findings.conditions:
        first = True
        for member in findings.members:
            known = [score for one in models.get(member, ()) if (score := published_score(one, condition))]
            for printed in known:
                row = findings.score(member, condition)
                if first:
                    rules.add(len(rows))
                    conditions.append(condition)
                measured = row["score"] if row is not None else float("nan")
                rows.append(
                    [
                        short_name(condition, findings.conditions) if first else "",
                        member,
                        with_interval(row),
                        Cell(points(printed.score), mark=_MARKS[printed.evidence]),
                        MISSING if row is None else points(measured - printed.score, signed=True),
                        f"{printed.model}, {printed.table}",
                    ]
                )
                cell = {"member": member, "task": condition.task, "variant": condition.variant}
                data.append(
                    {
                        **cell,
                        "metric": condition.metric,
                        "measured": measured,
                        "published": printed.score,
                        "model": printed.model,
                        "table": printed.table,
                        "evidence": printed.evidence,
                        "url": printed.paper.url,
                    }
                )
                used[printed.paper.name] = printed.paper
                first = False
    if not rows:
        return None
    marks = {row["evidence"] for row in data}
    said = {
        "second-hand": f" {SECOND_HAND}: stated by a third party about the paper, not seen in it.",
        "independent": f" {INDEPENDENT}: measured by others on the released weights, not by the authors.",
    }
    caption = (
        f"Measured, in percent with {findings.level} intervals, and published scores. Difference: measured "
        "minus published, in points; the published score's own error is not known, nor need its prompts be "
        f"the same.{''.join(text for mark, text in said.items() if mark in marks)} "
        f"{metric_caption(conditions)}"
    )
    notes = [f"{paper.name} ({paper.url}): {text}" for paper in used.values() for text in paper.caveats]
    columns = [Column("condition", words=True), Column("member", words=True), Column("measured")]
    columns += [Column("published"), Column("difference"), Column("source", words=True)]
    table = Table("Published", caption, columns, rows, findings.stamp, frozenset(rules), notes)
    return Sheet("published", [table], stamped(pd.DataFrame(data), findings.stamp))


PARTS = (TablePart("published", published, 110, notes=True),)
