"""Which conditions and tasks of a run are RULER's."""

from __future__ import annotations

from typing import Any

import pandas as pd

from archbench.report.findings import Findings
from archbench.report.recall import size_of
from archbench.results.conditions import Condition
from archbench.tasks.ruler.subtasks import TASKS


def entries_of(findings: Findings) -> dict[str, list[Condition]]:
    """Conditions of each of the suite's RULER entries, from the shortest length to the longest."""
    found: dict[str, list[Condition]] = {}
    for one in findings.conditions:
        if one.kind == "ruler":
            found.setdefault(one.task, []).append(one)
    return {task: sorted(conditions, key=length_of) for task, conditions in found.items()}


def length_of(condition: Condition) -> int:
    """Length of a condition's prompts in tokens."""
    size = size_of(condition)
    return 0 if size is None else size[1]


def tasks_of(items: pd.DataFrame) -> list[Any]:
    """The RULER tasks that items belong to, in RULER's order."""
    present = set(items["subject"]) if len(items) else set()
    return [task for task in TASKS if task in present]
