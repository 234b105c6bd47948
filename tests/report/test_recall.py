"""What charts over lengths have in common."""

from __future__ import annotations

from functools import partial
from types import SimpleNamespace
from typing import Any, cast

import pandas as pd

from archbench.report.findings import Findings
from archbench.report.recall import counted_items, rows_of
from archbench.results.conditions import Condition

NEAR, FAR, OTHER = (
    Condition(task, variant, kind, labels=(), metric="acc", metrics=("acc",), chance=None)
    for task, variant, kind in (
        ("book", "near", "phonebook"),
        ("book", "far", "phonebook"),
        ("text", "all", "perplexity"),
    )
)


def findings(*conditions: Condition, **tasks: pd.DataFrame) -> Findings:
    results = SimpleNamespace(items=lambda task: tasks[task])
    made: Any = SimpleNamespace(conditions=list(conditions), results=results, _items={})
    made.items = partial(Findings.items, made)
    return cast(Findings, made)


def rows(task: str, *values: tuple[str, str, bool]) -> pd.DataFrame:
    columns: Any = ["variant", "member", "left_out"]
    return pd.DataFrame(list(values), columns=columns).assign(task=task)


def test_what_is_left_out_for_one_member_counts_for_none() -> None:
    book = rows("book", ("near", "a", False), ("near", "b", False), ("far", "a", True), ("far", "b", True))
    found = counted_items(findings(NEAR, FAR, book=book), "phonebook")
    assert list(found["variant"]) == ["near", "near"]
    assert rows_of(found, [FAR]).empty


def test_entries_of_other_kinds_are_not_read() -> None:
    assert counted_items(findings(OTHER), "phonebook").empty
    assert rows_of(pd.DataFrame(), [NEAR], "a").empty


def test_rows_of_several_conditions_and_of_one_member() -> None:
    items = rows("book", ("near", "a", False), ("far", "b", False), ("far", "a", False))
    assert len(rows_of(items, [NEAR, FAR])) == 3
    assert list(rows_of(items, [NEAR, FAR], "a")["variant"]) == ["near", "far"]
    assert rows_of(items.assign(task="other"), [NEAR, FAR]).empty
