"""Phonebooks in sentences and tables: recall, and where wrong numbers came from."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pandas as pd

from archbench.report.findings import Findings
from archbench.report.part import TablePart, TextPart
from archbench.report.recall import (
    BEYOND,
    beyond_caption,
    counted_items,
    is_beyond,
    prompt_tokens,
    rows_of,
    size_of,
)
from archbench.report.table import MISSING, Cell, Column, Sheet, Table, stamped
from archbench.report.words.captions import items_caption
from archbench.report.words.naming import by_cell, listing, points, short_name, with_interval
from archbench.results.comparisons import scores_of
from archbench.results.conditions import Condition
from archbench.tasks.phonebook.prompts import EXAMPLES
from archbench.tasks.phonebook.scoring import SOURCES

_METRICS = {
    "exact_match": "whole number",
    "digit_accuracy": "digits",
    "leading_digits": "leading digits",
    "similarity": "similarity",
    "in_line": "in first line",
    "first_in_line": "first there",
}


def sentences(findings: Findings) -> list[str]:
    """For each format, how much of the smallest and of the largest book each member recalls."""
    found = []
    for name, conditions in groups_of(findings).items():
        # Of a run that is not finished, the ends are those of what has been answered.
        answered = [one for one in conditions if one in findings.answered]
        sized = sorted(
            ((size, one) for one in answered if (size := size_of(one))), key=lambda pair: pair[0][1]
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
            found.append(
                f"Phonebook, {name}: numbers recalled from books of {small[1]:,} and of {large[1]:,} {unit}: "
                f"{'; '.join(clauses)}. Naming any entry that is no example would give "
                f"{_guesses(findings, first)} % and {_guesses(findings, last)} %."
            )
    return found


def scores(findings: Findings) -> Sheet | None:
    """Every condition and member: whole number, digits, leading digits, and how similar answers are."""
    conditions = conditions_of(findings)
    if not conditions:
        return None
    # Runs of an earlier archbench have fewer, those that are not finished perhaps none.
    frames = {name: findings.scores_of(name) for name in _METRICS}
    frames = {
        name: here for name, frame in frames.items() if len(here := frame[frame["kind"] == "phonebook"])
    }
    if not frames:
        return None
    metrics, data = list(frames), pd.concat(frames.values(), ignore_index=True)
    found, items = by_cell(data, "metric"), counted_items(findings, "phonebook")
    rows: list[list[Cell | str]] = []
    for condition in conditions:
        for at, member in enumerate(findings.members):
            cells = [found.get((member, condition.task, condition.variant, name)) for name in metrics]
            mine = rows_of(items, [condition], member)
            label = short_name(condition, findings.conditions) if at == 0 else ""
            who = Cell(member, mark=BEYOND if is_beyond(findings, member, mine) else "")
            rows.append([label, who, _tokens(mine), *map(with_interval, cells)])
    caption = (
        f"Phonebook, in percent with {findings.level} intervals. Whole number: the "
        "first line of the answer is the number. Digits: the digits that are right at their place. "
        "Leading digits: those before the first wrong one. Similarity: 1 minus the edit distance over "
        "the longer text's length. In first line: the number stands somewhere in that line; first there: it "
        "is the first number of as many digits. Tokens: mean length of the "
        f"prompt.{_entry_caption(findings, items)} "
        f"{items_caption(findings, conditions)}{beyond_caption(findings)}"
    )
    columns = [Column("condition", words=True), Column("member", words=True), Column("tokens")]
    columns += [Column(_METRICS[name]) for name in metrics]
    rules = frozenset(range(0, len(rows), len(findings.members)))
    table = Table("Phonebook", caption, columns, rows, findings.stamp, rules)
    return Sheet("phonebook", [table], stamped(data, findings.stamp))


def entry_tokens(findings: Findings, items: pd.DataFrame, member: str) -> float | None:
    """Tokens of an entry of the book, with its line break: how much longer a prompt is for each further one.

    Args:
        findings: The statistics.
        items: Items of phonebooks.
        member: Whose tokenizer counts.

    Returns:
        The slope of the least-squares line through all books of the first format that comes in several sizes;
        None where there is none, or where the member's backend does not count tokens.
    """
    for conditions in groups_of(findings).values():
        mine = rows_of(items, conditions, member)
        mine = mine[mine["prompt_tokens"].notna()] if len(mine) else mine
        if len(mine) and mine["book_entries"].nunique() > 1:
            entries, tokens = scores_of(mine["book_entries"]), scores_of(mine["prompt_tokens"])
            return float(np.polyfit(entries, tokens, 1)[0])
    return None


def _entry_caption(findings: Findings, items: pd.DataFrame) -> str:
    """What an entry costs each member; names that its tokenizer cuts to pieces may explain a low score."""
    known = {one: tokens for one in findings.members if (tokens := entry_tokens(findings, items, one))}
    if not known:
        return ""
    texts = {f"{tokens:.1f}" for tokens in known.values()}
    each = texts.pop() if len(texts) == 1 else listing([f"{t:.1f} for {one}" for one, t in known.items()])
    return (
        f" An entry takes {each} tokens, name, number and line break: names of one's own that a tokenizer "
        "cuts into many pieces may be hard to recall for that reason alone."
    )


def answers(findings: Findings) -> Sheet | None:
    """Where the numbers that members gave came from."""
    conditions = conditions_of(findings)
    if not conditions:
        return None
    items = counted_items(findings, "phonebook")
    if items.empty:
        return None
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
        "the entry just before or after the queried one. Example: one shown as an example. Book: another "
        "entry's. Nowhere: well formed, but not in the book. Answers that hold the right number among "
        "other words count as right here, though not as the whole number."
    )
    columns = [Column("condition", words=True), Column("member", words=True), *map(Column, SOURCES)]
    rules = frozenset(range(0, len(rows), len(findings.members)))
    table = Table("Phonebook answers", caption, columns, rows, findings.stamp, rules)
    return Sheet("phonebook_answers", [table], stamped(pd.DataFrame(data), findings.stamp))


def conditions_of(findings: Findings) -> list[Condition]:
    """The phonebook's conditions, in the suite's order."""
    return [one for one in findings.conditions if one.kind == "phonebook"]


def groups_of(findings: Findings) -> dict[str, list[Condition]]:
    """Conditions of each panel: one per format, and per task where there are several."""
    conditions = conditions_of(findings)
    several = len({one.task for one in conditions}) > 1
    found: dict[str, list[Condition]] = {}
    for one in conditions:
        form = str(dict(one.labels).get("format"))
        found.setdefault(f"{one.task} {form}" if several else form, []).append(one)
    return found


def guessed(rows: pd.DataFrame) -> float:
    """Expected score of naming any entry but the worked examples, which are never queried."""
    return float((1 / (rows["book_entries"] - EXAMPLES)).mean())


def _guesses(findings: Findings, condition: Condition) -> str:
    return points(guessed(rows_of(counted_items(findings, "phonebook"), [condition])))


def _tokens(rows: pd.DataFrame) -> str:
    tokens = prompt_tokens(rows)
    return MISSING if tokens is None else f"{tokens:,.0f}"


PARTS = (
    TablePart("phonebook", scores, 30),
    TablePart("phonebook_answers", answers, 31),
    TextPart("phonebook", sentences, 30),
)
