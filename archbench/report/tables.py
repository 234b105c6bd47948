"""The tables of a report; each function makes one sheet, or None where the run has nothing for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd

from archbench.errors import amount
from archbench.report.captions import (
    DAGGER,
    METRICS,
    family_sizes,
    interval_methods,
    items_caption,
    items_in,
    leaders_caption,
    margins_note,
    metric_caption,
)
from archbench.report.findings import Findings, by_cell, heading, points, short_name, with_interval
from archbench.report.table import MISSING, Cell, Column, Sheet, Table, stamped
from archbench.results.comparisons import UNDECIDED, VERDICTS
from archbench.results.conditions import Condition
from archbench.results.frames import records

Row = list[Cell | str]
WIDEST = 6
"""Conditions that fit beside each other."""

_WHO = (Column("condition", words=True), Column("member", words=True))


def accuracy(findings: Findings) -> Sheet:
    """Members × conditions, every score with its interval; one table a task where one would be too wide."""
    everything = findings.graded
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
        tables.append(_grid(findings, title, caption, conditions, with_interval, notes))
    return Sheet("accuracy", tables, stamped(findings.scores, findings.stamp))


def mmlu_formats(findings: Findings) -> Sheet | None:
    """MMLU by question format and shots, bare numbers as papers print them."""
    tables = []
    for task in dict.fromkeys(one.task for one in findings.answered if one.kind == "mmlu"):
        conditions = [one for one in findings.conditions if one.task == task]
        caption = (
            f"Score on {task} in percent, by question format and number of shots. {leaders_caption(findings)}"
            f"{items_caption(findings, conditions)} {metric_caption(conditions)}"
        )
        tables.append(_grid(findings, "MMLU formats", caption, conditions, lambda row: points(row["score"])))
    data = findings.scores[findings.scores["kind"] == "mmlu"]
    return Sheet("mmlu_formats", tables, stamped(data, findings.stamp)) if len(data) else None


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
    columns = [*_WHO, *map(Column, metrics), Column("primary", words=True)]
    rules = frozenset(range(0, len(rows), len(findings.members)))
    table = Table("Normalisations", caption, columns, rows, findings.stamp, rules)
    return Sheet("normalisations", [table], stamped(data, findings.stamp))


def differences(findings: Findings) -> Sheet | None:
    """Paired differences of every member against the baseline."""
    data = findings.differences
    if data.empty:
        return None
    rows: list[Row] = []
    rules = set()
    for condition in findings.conditions:
        rules.add(len(rows))
        for row in _of(data, condition):
            low, high = points(row["low"], signed=True), points(row["high"], signed=True)
            rows.append(
                [
                    "" if len(rows) not in rules else short_name(condition, findings.conditions),
                    row["member"],
                    points(row["delta"], signed=True),
                    f"{low} to {high}",
                    f"{row['wins']:,}",
                    f"{row['losses']:,}",
                    _p(row["p"]),
                    _p(row["p_holm"]),
                    points(row["detectable"]),
                    _verdict(row),
                ]
            )
    tests = {
        "mcnemar": "exact McNemar test, Tango's interval",
        "bootstrap": "sign-flip test, bootstrap interval",
    }
    used = "; ".join(tests[method] for method in tests if method in set(data["method"]))
    few = ""
    if (data["verdict"] == VERDICTS[-1]).any():
        few = (
            f" {VERDICTS[-1].capitalize()}: not even one member ahead on every item would be significant; in "
            "brackets, from how many items on it would."
        )
    caption = (
        f"Difference from {findings.baseline} on the same items, in points ({used}). Wins: items on which "
        f"the member scores more; losses: on which {findings.baseline} does. p (Holm) is adjusted for the "
        f"{family_sizes(data)} of this table and decides the verdict at the {100 * findings.alpha:g} % "
        f"level; the {findings.level} intervals are for each comparison alone. Detectable: the true "
        f"difference that such a comparison finds with 80 % probability before adjustment.{few} "
        + metric_caption(findings.conditions)
    )
    heads = ["Δ", f"{findings.level} interval", "wins", "losses", "p", "p (Holm)", "detectable"]
    columns = [*_WHO, *map(Column, heads), Column("verdict", words=True)]
    notes = findings.gaps(findings.conditions)
    table = Table("Differences", caption, columns, rows, findings.stamp, frozenset(rules), notes)
    return Sheet("differences", [table], stamped(data, findings.stamp))


def cost(findings: Findings) -> Sheet:
    """What every cell took."""
    cells = findings.results.cells
    rows: list[Row] = []
    rules = set()
    for condition in findings.conditions:
        rules.add(len(rows))
        for row in _of(cells, condition):
            asked, fed, seconds = row["tokens_requested"], row["tokens_forwarded"], row["seconds"]
            distinct = row["tokens_distinct"]
            rows.append(
                [
                    "" if len(rows) not in rules else short_name(condition, findings.conditions),
                    row["member"],
                    f"{row['items']:,}" if row["status"] == "complete" else row["status"],
                    f"{row['excluded']:,}",
                    _count(asked),
                    _count(distinct),
                    _count(fed),
                    f"{asked / fed:.1f}×" if pd.notna(asked) and pd.notna(fed) and fed else MISSING,
                    f"{distinct / fed:.0%}" if pd.notna(distinct) and pd.notna(fed) and fed else MISSING,
                    _count(row["passes"]),
                    f"{seconds:,.1f}",
                    f"{row['items'] / seconds:,.1f}" if seconds else MISSING,
                ]
            )
    caption = (
        "What every cell took. Tokens requested: as if every request were scored on its own; distinct: every "
        "shared prefix counted once; forwarded: fed to the model; saved: requested by forwarded; of the "
        "bound: share of the possible speed-up that was reached, distinct by forwarded. Passes are forward "
        "passes. Seconds are wall-clock time."
    )
    if "requests_known" in cells and (cells["requests_known"].fillna(0) > 0).any():
        known = cells[cells["requests_known"].fillna(0) > 0]
        caption += (
            f" {len(known)} of {amount(len(cells), 'cell')} found answers there already, of equal prompts "
            "in another "
            "cell or from a run that was stopped: tokens and seconds are of their other requests only."
        )
    tokens = ["tokens requested", "distinct", "forwarded", "saved", "of the bound", "passes"]
    heads = ["items", "excluded", *tokens, "seconds", "items/s"]
    table = Table("Cost", caption, [*_WHO, *map(Column, heads)], rows, findings.stamp, frozenset(rules))
    return Sheet("cost", [table], stamped(cells, findings.stamp))


def _grid(
    findings: Findings,
    title: str,
    caption: str,
    conditions: Sequence[Condition],
    text: Callable[[dict[str, Any]], str],
    notes: Sequence[str] = (),
) -> Table:
    """Members × conditions, the best marked, guessing and numbers of items below."""
    several = len({one.task for one in conditions}) > 1
    rows: list[Row] = []
    for member in findings.members:
        cells: Row = [member]
        for condition in conditions:
            row, leader = findings.score(member, condition), findings.leaders.get(condition)
            if row is None or leader is None:
                cells.append(MISSING)
            else:
                best = member in leader.members and len(findings.scored(condition)) > 1
                cells.append(
                    Cell(text(row), bold=best, mark=DAGGER if member in leader.tied + leader.open else "")
                )
        rows.append(cells)
    below = len(rows)
    if any(one.chance is not None for one in conditions):
        chances = [MISSING if one.chance is None else points(one.chance) for one in conditions]
        rows.append(["guessing", *chances])
    counts = [items_in(findings, one) for one in conditions]
    if len(set(counts) - {0}) > 1:
        rows.append(["items", *(f"{count:,}" for count in counts)])
    columns = [Column("member", words=True)]
    columns += [Column(name, group) for group, name in (heading(one, several) for one in conditions)]
    every = [*findings.gaps(conditions), *notes]
    return Table(title, caption, columns, rows, findings.stamp, frozenset({below}), every)


def _of(frame: pd.DataFrame, condition: Condition) -> list[dict[str, Any]]:
    here = (frame["task"] == condition.task) & (frame["variant"] == condition.variant)
    return records(frame[here])


def _verdict(row: dict[str, Any]) -> Cell:
    text = f"{row['verdict']} ({row['needed']})" if row["verdict"] == VERDICTS[-1] else row["verdict"]
    return Cell(text, bold=row["verdict"] not in UNDECIDED)


def _p(value: float) -> str:
    return "<0.001" if value < 0.001 else f"{value:.3f}"


def _count(value: float | None) -> str:
    return MISSING if value is None or pd.isna(value) else f"{int(value):,}"
