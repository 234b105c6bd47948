"""Whether generated answers have the form asked for: a score of what was never said is no score of memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import pandas as pd

from archbench.report.findings import Findings
from archbench.report.part import TablePart, TextPart
from archbench.report.recall import rows_of
from archbench.report.table import MISSING, Cell, Column, Sheet, Table, stamped
from archbench.report.words.naming import listing, points, short_name
from archbench.results.comparisons import scores_of
from archbench.results.conditions import Condition

MANY = 0.05
"""Share of answers of another form from which the findings speak of it."""
_NAMED = 3
_WORDS = {
    "empty": "left answers empty on",
    "other": "answered with nothing of the kind asked for (no number, no label) on",
}
_LINES = {"in_line": "in the first line", "first_in_line": "first of its kind"}


class _Part(NamedTuple):
    """Answers of a member in a condition: its items, and the share of each form."""

    condition: Condition
    member: str
    items: pd.DataFrame
    shares: dict[str, float]


def sentences(findings: Findings) -> list[str]:
    """Who answered in another form than was asked for, above 5 % of a condition's answers."""
    parts, said = list(_parts(findings)), []
    for member in findings.members:
        for form, words in _WORDS.items():
            here = [one for one in parts if one.member == member and one.shares[form] > MANY]
            here.sort(key=lambda one: -one.shares[form])
            names = [f"{_name(findings, one)} ({points(one.shares[form])} %)" for one in here[:_NAMED]]
            if len(here) > _NAMED:
                names.append(f"{len(here) - _NAMED} more conditions")
            if names:
                said.append(f"{member} {words} {listing(names)}.")
    if said:
        said.append(
            "Where answers are of another form than asked for, a score tells how well the prompt was "
            "understood before it tells what is known (table of answer forms)."
        )
    return said


def in_another_form(findings: Findings) -> dict[tuple[str, Condition], float]:
    """Share of the answers that are empty or hold nothing of the kind asked for, by member and condition."""
    return {(one.member, one.condition): sum(one.shares.values()) for one in _parts(findings)}


def table(findings: Findings) -> Sheet | None:
    """Every condition in which text is generated, under changed prompts too, and every member."""
    rows: list[list[Cell | str]] = []
    data = []
    rules = set()
    condition = None
    for one in _parts(findings):
        mine, first = one.items, one.condition != condition
        condition = one.condition
        if first:
            rules.add(len(rows))
        metrics = [one.condition.metric, *_LINES]
        known = {name: scores_of(mine[name]) for name in metrics if name in mine}
        scores = {name: float(values.mean()) for name, values in known.items() if len(values)}
        label = _name(findings, one) if first else ""
        shown = [points(scores[name]) if name in scores else MISSING for name in metrics]
        rows.append([label, one.member, f"{len(mine):,}", *shown, *map(points, one.shares.values())])
        cell = {"member": one.member, "task": condition.task, "variant": condition.variant, "n": len(mine)}
        data.append({**cell, "score": scores.get(condition.metric), **one.shares})
        data[-1] |= {name: scores.get(name) for name in _LINES}
    if not rows:
        return None
    caption = (
        "The form of generated answers, in percent of the answers. In the first line: the right answer "
        "stands somewhere in the first line that holds anything. First of its kind: and no other number "
        "(word, name) comes before it; of several right answers, the share of them. Empty: nothing but white "
        "space. Nothing of the kind: text without any number, name or label of the kind asked for, as far as "
        "the task can tell."
    )
    columns = [Column("condition", words=True), Column("member", words=True), Column("items")]
    columns += [Column("score"), *map(Column, _LINES.values())]
    columns += [Column("empty"), Column("nothing of the kind")]
    made = Table("Answer forms", caption, columns, rows, findings.stamp, frozenset(rules))
    return Sheet("answer_forms", [made], stamped(pd.DataFrame(data), findings.stamp))


def _parts(findings: Findings) -> Iterator[_Part]:
    for condition in findings.results.conditions:
        # Neither generates, and their items are many.
        if condition.kind in ("mmlu", "perplexity"):
            continue
        items = findings.items(condition.task)
        # Runs of an earlier archbench do not have it.
        if "answer_form" not in items:
            continue
        for member in findings.members:
            mine = rows_of(items, [condition], member)
            mine = mine[mine["answer_form"].notna()] if len(mine) else mine
            if len(mine):
                shares = {form: float((mine["answer_form"] == form).mean()) for form in _WORDS}
                yield _Part(condition, member, mine, shares)


def _name(findings: Findings, part: _Part) -> str:
    return short_name(part.condition, findings.results.conditions)


PARTS = (
    TablePart("answer_forms", table, 50),
    TextPart("answer_forms", sentences, 60),
)
