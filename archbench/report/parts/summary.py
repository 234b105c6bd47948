"""What the statistics say, in sentences: better or worse is only what the adjusted tests decide."""

from __future__ import annotations

import math
from typing import Any

from archbench.errors import amount
from archbench.report.findings import Findings
from archbench.report.part import TextPart
from archbench.report.words.captions import family_sizes, items_in
from archbench.report.words.naming import listing, points, short_name
from archbench.report.words.phrases import NAMED, Stated, stated
from archbench.results.comparisons import VERDICTS
from archbench.results.conditions import Condition
from archbench.results.frames import records

# More comparisons than these are named with their differences alone; the table has the intervals.
_SPELLED_OUT = 6
# Scores in more categories than these are left to their table.
_CATEGORIES = 6


def _scope(findings: Findings) -> list[str]:
    members, answered = findings.members, findings.answered
    if not findings.conditions:
        return []
    if not answered:
        return ["No member has a score under a plain prompt."]
    tasks = listing(list(dict.fromkeys(one.task for one in answered)))
    names = [short_name(one, findings.conditions) for one in answered]
    shown = f": {listing(names)}" if len(names) <= NAMED else ""
    many = f"{len(answered)} conditions" if len(answered) > 1 else "one condition"
    counts = {items_in(findings, one) for one in answered}
    items = amount(counts.pop(), "item") if len(counts) == 1 else "items"
    whole = [one for one in members if all(findings.is_whole(one, condition) for condition in answered)]
    none = [one for one in members if not any(findings.score(one, condition) for condition in answered)]
    partly = [one for one in members if one not in whole + none]
    if len(members) == 1 and whole:
        clauses = [f"{members[0]} answered {tasks} in {many}{shown}"]
    elif whole:
        same = "the same" if len(whole) > 1 else "all"
        clauses = [f"{listing(whole)} answered {same} {items} of {tasks} in {many}{shown}"]
    else:
        clauses = [f"No member answered all {items} of {tasks} in {many}{shown}"]
    if partly:
        clauses.append(f"{listing(partly)} answered a part of them (notes)")
    if none:
        clauses.append(
            f"{listing(none)} {'has' if len(none) == 1 else 'have'} no score in any of them (notes)"
        )
    if left := [short_name(one, findings.conditions) for one in findings.conditions if one not in answered]:
        which = listing(left) if len(left) <= NAMED else amount(len(left), "further condition")
        clauses.append(f"nobody has a score in {which}")
    if len(members) == 1:
        clauses.append("with one member, nothing is compared")
    return [f"{'; '.join(clauses)}."]


def _leading(findings: Findings) -> list[str]:
    groups: dict[tuple[tuple[str, ...], str], list[Stated]] = {}
    for condition, leader in findings.leaders.items():
        row = findings.score(leader.members[0], condition)
        if row is None:
            continue
        open_to = f", not distinguishable from {listing(leader.tied)}" if leader.tied else ""
        if leader.open:
            open_to += f", too few items to tell from {listing(leader.open)}"
        undecided = bool(leader.tied or leader.open)
        part = Stated(condition, f"{points(row['score'])} %{open_to}", row["score"], undecided)
        scored = [one for one in findings.members if findings.score(one, condition)]
        groups.setdefault((leader.members, _leads(leader.members, scored, findings.members)), []).append(part)
    # In the order of the members; a member's own conditions come before those that it shares.
    order = sorted(groups, key=lambda key: (findings.members.index(key[0][0]), len(key[0])))
    return [
        f"{listing(members)} {verb} {listing(stated(findings, groups[members, verb], '%'))}."
        for members, verb in order
    ]


def _by_category(findings: Findings) -> list[str]:
    """What the members score in each category, of every task's condition that is answered best."""
    frame = findings.scores_by("category")
    said = []
    for task in dict.fromkeys(one.task for one in findings.graded):
        conditions = [one for one in findings.graded if one.task == task]
        best = max(conditions, key=lambda one: max(_scored(findings, one), default=-math.inf))
        rows = records(frame[(frame["task"] == best.task) & (frame["variant"] == best.variant)])
        categories = list(dict.fromkeys(row["category"] for row in rows if row["n"]))
        if not 1 < len(categories) <= _CATEGORIES:
            continue
        told = [
            f"{category}: "
            + ", ".join(
                f"{row['member']} {points(row['score'])}"
                for row in rows
                if row["category"] == category and row["n"]
            )
            for category in categories
        ]
        chance = "" if best.chance is None else f"; guessing gives {points(best.chance)}"
        said.append(
            f"By category, {short_name(best, findings.conditions)}, in percent: {'; '.join(told)}{chance}."
        )
    return said


def _scored(findings: Findings, condition: Condition) -> list[float]:
    rows = (findings.score(member, condition) for member in findings.members)
    return [row["score"] for row in rows if row is not None]


def _leads(best: tuple[str, ...], scored: list[str], members: list[str]) -> str:
    if len(best) > 1:
        return "are exactly level" + (", the highest," if len(scored) > len(best) else "") + " on"
    if len(members) == 1:
        return "scores on"
    return "scores highest on" if len(scored) > 1 else "alone has a score on"


def _against_baseline(findings: Findings) -> list[str]:
    rows = records(findings.differences)
    if not rows:
        others = {one for condition in findings.answered for one in findings.scored(condition)}
        if not others - {findings.baseline}:
            return []
        why = "has no item in common with another" if findings.baseline in others else "has no score"
        return [f"Nothing is compared with {findings.baseline}, the baseline, which {why}."]
    conditions = {(one.task, one.variant): one for one in findings.conditions}
    spelled_out = len(rows) <= _SPELLED_OUT
    unit = f"points with {findings.level} intervals" if spelled_out else "points"
    adjusted = " after Holm's adjustment" if len(rows) > 1 else ""
    said = [
        f"Compared with {findings.baseline} on the same items, in {unit}: "
        f"{family_sizes(findings, findings.differences)} at the {100 * findings.alpha:g} % level{adjusted}."
    ]
    for member in findings.members:
        for verdict in VERDICTS:
            here = [row for row in rows if (row["member"], row["verdict"]) == (member, verdict)]
            parts = [
                Stated(conditions[row["task"], row["variant"]], _delta(row, spelled_out), row["delta"])
                for row in here
            ]
            if parts:
                told = listing(stated(findings, parts, signed=True))
                said.append(f"{_verdict(member, verdict, findings.baseline, here)} on {told}.")
    return [*said, *_reach(findings, rows)]


def _verdict(member: str, verdict: str, baseline: str, rows: list[dict[str, Any]]) -> str:
    """What the verdict says of a member, up to the tasks."""
    if verdict in VERDICTS[:2]:
        return f"{member} is {verdict} than {baseline}"
    if verdict == VERDICTS[2]:
        return f"{member} is {verdict} from {baseline}"
    needed = amount(max(row["needed"] for row in rows), "item is", "items are")
    return f"At least {needed} needed, so there are too few to tell {member} from {baseline}"


def _reach(findings: Findings, rows: list[dict[str, Any]]) -> list[str]:
    """Which differences would have been found, of each task where nothing is distinguishable."""
    reach: dict[str, list[float]] = {}
    for row in rows:
        if row["verdict"] == VERDICTS[2] and row["detectable"] > 0:
            reach.setdefault(row["task"], []).append(row["detectable"])
    if not reach:
        return []
    several = len({one.task for one in findings.conditions}) > 1
    spans = [
        " to ".join(dict.fromkeys(points(end(found)) for end in (min, max)))
        + " points"
        + (f" on {task}" if several else "")
        for task, found in reach.items()
    ]
    return [
        f"Where nothing is distinguishable, a true difference of {listing(spans)} would have been found with "
        "80 % probability before adjustment; smaller ones may have gone unseen."
    ]


def _within_ties(findings: Findings) -> list[str]:
    rows = records(findings.within_ties)
    conditions = {(one.task, one.variant): one for one in findings.conditions}
    clauses = []
    for member in findings.members:
        for verdict in VERDICTS[:2]:
            here = [row for row in rows if (row["member"], row["verdict"]) == (member, verdict)]
            names = [short_name(conditions[row["task"], row["variant"]], findings.conditions) for row in here]
            parts = [
                f"{row['category']} in {name} ({points(row['delta'], signed=True)})"
                for name, row in zip(names, here, strict=True)
            ]
            if parts:
                clauses.append(f"{member} is {verdict} than {findings.baseline} on {listing(parts)}")
    if not clauses:
        return []
    tests = f"{amount(len(rows), 'comparison')} of categories after Holm's adjustment"
    return [f"Not distinguishable on the whole, but in parts ({tests}): {'; '.join(clauses)}."]


def _delta(row: dict[str, Any], with_interval: bool) -> str:
    delta, low, high = (points(row[name], signed=True) for name in ("delta", "low", "high"))
    return f"{delta}, {low} to {high}" if with_interval and not math.isnan(row["low"]) else delta


PARTS = (
    TextPart("scope", _scope, 10),
    TextPart("leading", _leading, 11),
    TextPart("categories", _by_category, 12),
    TextPart("baseline", _against_baseline, 13),
    TextPart("ties", _within_ties, 14),
)
