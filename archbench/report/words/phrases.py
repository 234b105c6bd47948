"""How sentences name conditions and the numbers in them, many conditions by their task."""

from __future__ import annotations

from typing import NamedTuple

from archbench.report.findings import Findings
from archbench.report.words.naming import points, short_name
from archbench.results.conditions import Condition

NAMED = 8
"""More conditions than these are named by task, with how many of its conditions, or by their number."""


class Stated(NamedTuple):
    """What is said of a condition: its number in words, the number, and whether others are level with it."""

    condition: Condition
    words: str
    value: float
    tied: bool = False


def stated(findings: Findings, parts: list[Stated], unit: str = "", signed: bool = False) -> list[str]:
    """One text for each condition, or for each task where there are many conditions."""
    if len(findings.conditions) <= NAMED:
        return [
            f"{short_name(one.condition, findings.conditions)} ({' '.join([*_unnamed([one]), one.words])})"
            for one in parts
        ]
    texts = []
    for task in dict.fromkeys(one.condition.task for one in parts):
        here = [one for one in parts if one.condition.task == task]
        total = sum(one.task == task for one in findings.conditions)
        ends = [points(end(one.value for one in here), signed) for end in (min, max)]
        span = " to ".join(dict.fromkeys(ends)) + (f" {unit}" if unit else "")
        if len(here) == total:
            what = f"all {total} conditions of {task}" if total > 1 else task
        else:
            what = f"{len(here)} of {total} conditions of {task}"
        tied = sum(one.tied for one in here)
        level = f"; on {tied} not told from others" if tied else ""
        texts.append(f"{what} ({' '.join([*_unnamed(here), span])}{level})")
    return texts


def _unnamed(parts: list[Stated]) -> set[str]:
    """What the numbers are where they are no shares of right answers, which go without saying."""
    return {one.condition.metric for one in parts} & {"compression"}
