"""What is reported of phonebooks: recall by size, depth and digit, and where wrong numbers came from."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from archbench.report.captions import items_caption
from archbench.report.findings import Findings, by_cell, points, short_name, with_interval
from archbench.report.recall import (
    BEYOND,
    Curve,
    beyond_caption,
    counted_items,
    is_beyond,
    panels,
    prompt_tokens,
    rows_of,
    size_of,
)
from archbench.report.table import MISSING, Cell, Column, Sheet, Table, stamped
from archbench.results.comparisons import scores_of
from archbench.results.conditions import Condition
from archbench.results.statistics import mean_score
from archbench.tasks.phonebook.prompts import EXAMPLES
from archbench.tasks.phonebook.scoring import SOURCES

_METRICS = {
    "exact_match": "whole number",
    "digit_accuracy": "digits",
    "leading_digits": "leading digits",
    "similarity": "similarity",
}
_BINS = 5
_SIZES = 4


def sentences(findings: Findings) -> list[str]:
    """For each format, how much of the smallest and of the largest book each member recalls."""
    said = []
    for name, conditions in _groups(findings).items():
        sized = sorted(
            ((size, one) for one in conditions if (size := size_of(one))), key=lambda pair: pair[0][1]
        )
        units = {size[0] for size, _ in sized}
        if len(sized) < 2 or len(units) > 1:
            continue
        (small, first), (large, last) = sized[0], sized[-1]
        unit = "entries" if units == {"entries"} else "tokens"
        clauses = []
        for member in findings.members:
            start, end = findings.score(member, first), findings.score(member, last)
            if start is not None and end is not None:
                clauses.append(f"{member} {points(start['score'])} % and {points(end['score'])} %")
        if clauses:
            said.append(
                f"Phonebook, {name}: numbers recalled from books of {small[1]:,} and of {large[1]:,} {unit}: "
                f"{'; '.join(clauses)}. Naming any entry that is no example would give "
                f"{_guesses(findings, first)} % and {_guesses(findings, last)} %."
            )
    return said


def scores(findings: Findings) -> Sheet | None:
    """Every condition and member: whole number, digits, leading digits, and how similar answers are."""
    conditions = _conditions(findings)
    if not conditions:
        return None
    frames = [findings.results.scores(name, confidence=findings.settings.confidence) for name in _METRICS]
    data = pd.concat([frame[frame["kind"] == "phonebook"] for frame in frames], ignore_index=True)
    found, items = by_cell(data, "metric"), counted_items(findings, "phonebook")
    rows: list[list[Cell | str]] = []
    for condition in conditions:
        for at, member in enumerate(findings.members):
            cells = [found.get((member, condition.task, condition.variant, name)) for name in _METRICS]
            mine = rows_of(items, [condition], member)
            label = short_name(condition, findings.conditions) if at == 0 else ""
            who = Cell(member, mark=BEYOND if is_beyond(findings, member, mine) else "")
            rows.append([label, who, _tokens(mine), *map(with_interval, cells)])
    caption = (
        f"Phonebook, in percent with {findings.level} intervals. Whole number: the "
        "first line of the answer is the number. Digits: the digits that are right at their place. "
        "Leading digits: those before the first wrong one. Similarity: 1 minus the edit distance over "
        "the longer text's length. Tokens: mean length of the prompt. "
        f"{items_caption(findings, conditions)}{beyond_caption(findings)}"
    )
    columns = [Column("condition", words=True), Column("member", words=True), Column("tokens")]
    columns += [Column(name) for name in _METRICS.values()]
    rules = frozenset(range(0, len(rows), len(findings.members)))
    table = Table("Phonebook", caption, columns, rows, findings.stamp, rules)
    return Sheet("phonebook", [table], stamped(data, findings.stamp))


def answers(findings: Findings) -> Sheet | None:
    """Where the numbers that members gave came from."""
    conditions = _conditions(findings)
    if not conditions:
        return None
    items = counted_items(findings, "phonebook")
    rows: list[list[Cell | str]] = []
    data: list[dict[str, Any]] = []
    for condition in conditions:
        for at, member in enumerate(findings.members):
            mine = rows_of(items, [condition], member)
            counts = Counter(map(str, mine["source"]) if len(mine) else ())
            shares = {name: counts[name] / len(mine) if len(mine) else np.nan for name in SOURCES}
            label = short_name(condition, findings.conditions) if at == 0 else ""
            rows.append([label, member, *map(points, shares.values())])
            cell = {"member": member, "task": condition.task, "variant": condition.variant}
            data += [
                {**cell, "source": name, "n": counts[name], "share": share} for name, share in shares.items()
            ]
    caption = (
        "Which number the answers to the phonebook gave, in percent of the answers. Neighbour: that of "
        "the entry just before or after the asked one. Example: one shown as an example. Book: another "
        "entry's. Nowhere: well formed, but not in the book. Answers that hold the right number among "
        "other words count as right here, though not as the whole number."
    )
    columns = [Column("condition", words=True), Column("member", words=True), *map(Column, SOURCES)]
    rules = frozenset(range(0, len(rows), len(findings.members)))
    table = Table("Phonebook answers", caption, columns, rows, findings.stamp, rules)
    return Sheet("phonebook_answers", [table], stamped(pd.DataFrame(data), findings.stamp))


def lengths(findings: Findings) -> Figure | None:
    """Numbers recalled against the size of the book, one panel per format."""
    groups, items = _groups(findings), counted_items(findings, "phonebook")
    sizes = sorted({size[1] for one in _conditions(findings) if (size := size_of(one))})
    units = {size[0] for one in _conditions(findings) if (size := size_of(one))}

    def curve(name: str, member: str) -> Curve:
        found = []
        for condition in groups[name]:
            row, size = findings.score(member, condition), size_of(condition)
            if row is not None and size is not None:
                hollow = is_beyond(findings, member, rows_of(items, [condition], member))
                found.append((float(size[1]), *_percent(row), hollow))
        return sorted(found)

    def guessing(name: str) -> list[tuple[float, float]]:
        found = []
        for condition in groups[name]:
            mine, size = rows_of(items, [condition]), size_of(condition)
            if size is not None and len(mine):
                found.append((float(size[1]), 100 * _guessed(mine)))
        return sorted(found)

    label = {"entries": "entries in the book", "length": "tokens"}
    return panels(
        findings,
        list(groups),
        curve,
        x_label=" or ".join(label[unit] for unit in sorted(units)),
        y_label="numbers recalled, %",
        ticks=sizes,
        logarithmic=True,
        guessing=guessing,
    )


def depths(findings: Findings) -> Figure | None:
    """Numbers recalled by where in the book they stand, in fifths; a panel for each format and size.

    Sizes are not put together: what larger books lose would be taken for what their depths lose. Of more than
    some sizes, those are drawn that lie evenly between the smallest and the largest.
    """
    items, chosen = counted_items(findings, "phonebook"), dict[str, Condition]()
    across = 0
    for name, conditions in _groups(findings).items():
        sized = sorted(conditions, key=lambda one: size_of(one) or ("", 0))
        picked = np.linspace(0, len(sized) - 1, min(_SIZES, len(sized))).round().astype(int)
        across = max(across, len(picked))
        for at in picked:
            fewest, most = _counts(items, sized[at])
            n = f"{fewest:,}" + (f" to {most:,}" if most > fewest else "")
            unit, size = size_of(sized[at]) or ("", 0)
            unit = "tokens" if unit == "length" else unit
            chosen[f"{name}, {size:,} {unit}\nn = {n} a point"] = sized[at]

    def curve(name: str, member: str) -> Curve:
        mine = rows_of(items, [chosen[name]], member)
        found = []
        for at, here in mine.groupby(_bins(mine)) if len(mine) else ():
            estimate = mean_score(scores_of(here["exact_match"]), findings.settings.confidence)
            middle = 100 * (float(str(at)) + 0.5) / _bin_count(mine)
            found.append((middle, *_percent(estimate._asdict()), False))
        return found

    def guessing(name: str) -> list[tuple[float, float]]:
        mine = rows_of(items, [chosen[name]])
        return [(depth, 100 * _guessed(mine)) for depth in (0.0, 100.0)] if len(mine) else []

    return panels(
        findings,
        list(chosen),
        curve,
        x_label="depth in the book, %",
        y_label="numbers recalled, %",
        ticks=[0, 20, 40, 60, 80, 100],
        across=across,
        guessing=guessing,
    )


def _bin_count(rows: pd.DataFrame) -> int:
    """Parts that books are divided into: fifths, or single entries where a book has fewer than five."""
    return int(min(_BINS, rows["book_entries"].min()))


def _bins(rows: pd.DataFrame) -> pd.Series:
    """The part of the book that each item's entry stands in, from 0."""
    return rows["place"] * _bin_count(rows) // rows["book_entries"]


def _counts(items: pd.DataFrame, condition: Condition) -> tuple[int, int]:
    """Fewest and most items in a part of the book."""
    mine = rows_of(items, [condition])
    if mine.empty:
        return 0, 0
    counts = mine.groupby([mine["member"], _bins(mine)]).size()
    return int(counts.min()), int(counts.max())


def digits(findings: Findings) -> Figure | None:
    """Digits right by their place in the number, over all sizes of a format."""
    groups, items = _groups(findings), counted_items(findings, "phonebook")

    def curve(name: str, member: str) -> Curve:
        mine = rows_of(items, groups[name], member)
        found = []
        for at in range(_longest(mine)):
            # Numbers of another entry may be shorter.
            right = (mine["digits"].str[at].dropna() == "1").astype(float)
            estimate = mean_score(scores_of(right), findings.settings.confidence)
            found.append((at + 1.0, *_percent(estimate._asdict()), False))
        return found

    return panels(
        findings,
        list(groups),
        curve,
        x_label="digit",
        y_label="digits right, %",
        ticks=list(range(1, _longest(items) + 1)),
    )


def _conditions(findings: Findings) -> list[Condition]:
    return [one for one in findings.conditions if one.kind == "phonebook"]


def _groups(findings: Findings) -> dict[str, list[Condition]]:
    """Conditions of each panel: one per format, and per task where there are several."""
    conditions = _conditions(findings)
    several = len({one.task for one in conditions}) > 1
    found: dict[str, list[Condition]] = {}
    for one in conditions:
        form = str(dict(one.labels).get("format"))
        found.setdefault(f"{one.task} {form}" if several else form, []).append(one)
    return found


def _longest(items: pd.DataFrame) -> int:
    """Digits of the longest number."""
    return int(items["digits"].str.len().max()) if len(items) else 0


def _guessed(rows: pd.DataFrame) -> float:
    """Expected score of naming any entry but the worked examples, which are never asked."""
    return float((1 / (rows["book_entries"] - EXAMPLES)).mean())


def _guesses(findings: Findings, condition: Condition) -> str:
    return points(_guessed(rows_of(counted_items(findings, "phonebook"), [condition])))


def _tokens(rows: pd.DataFrame) -> str:
    tokens = prompt_tokens(rows)
    return MISSING if tokens is None else f"{tokens:,.0f}"


def _percent(row: dict[str, Any]) -> tuple[float, float, float]:
    return 100 * float(row["score"]), 100 * float(row["low"]), 100 * float(row["high"])
