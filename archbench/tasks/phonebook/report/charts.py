"""Figures of phonebooks: recall by the size of the book, the depth in it and the digit of the number."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from archbench.report.findings import Findings
from archbench.report.part import FigurePart
from archbench.report.recall import Curve, counted_items, is_beyond, panels, rows_of, size_of
from archbench.results.comparisons import scores_of
from archbench.results.conditions import Condition
from archbench.statistics.estimates import mean_score
from archbench.tasks.phonebook.report.tables import conditions_of, groups_of, guessed

_BINS = 5
_SIZES = 4


def lengths(findings: Findings) -> Figure | None:
    """Numbers recalled against the size of the book, one panel per format."""
    groups, items = groups_of(findings), counted_items(findings, "phonebook")
    sizes = sorted({size[1] for one in conditions_of(findings) if (size := size_of(one))})
    units = {size[0] for one in conditions_of(findings) if (size := size_of(one))}

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
                found.append((float(size[1]), 100 * guessed(mine)))
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
    for name, conditions in groups_of(findings).items():
        answered = [one for one in conditions if len(rows_of(items, [one]))]
        if not answered:
            continue
        sized = sorted(answered, key=lambda one: size_of(one) or ("", 0))
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
        return [(depth, 100 * guessed(mine)) for depth in (0.0, 100.0)] if len(mine) else []

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
    groups, items = groups_of(findings), counted_items(findings, "phonebook")

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


def _longest(items: pd.DataFrame) -> int:
    """Digits of the longest number."""
    return int(items["digits"].str.len().max()) if len(items) else 0


def _percent(row: dict[str, Any]) -> tuple[float, float, float]:
    return 100 * float(row["score"]), 100 * float(row["low"]), 100 * float(row["high"])


PARTS = (
    FigurePart("phonebook", lengths, "Phonebook: numbers recalled, by the size of the book.", 30),
    FigurePart(
        "phonebook_depths",
        depths,
        "Phonebook: numbers recalled, by where in the book they stand; of many sizes, four.",
        31,
    ),
    FigurePart("phonebook_digits", digits, "Phonebook: digits right, by their place in the number.", 32),
)
