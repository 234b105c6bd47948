"""What the statistics say, in sentences: better or worse is only what the adjusted tests decide."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from archbench.errors import amount
from archbench.report import answer_forms, perplexity, phonebook, prompts
from archbench.report.captions import family_sizes, items_in
from archbench.report.findings import Findings, listing, points, short_name
from archbench.results.comparisons import VERDICTS
from archbench.results.conditions import Condition
from archbench.results.frames import records

# More comparisons than these are named with their differences alone; the table has the intervals.
_SPELLED_OUT = 6
# More conditions than these are told by task, with how many of its conditions, or by their number.
_NAMED = 8
# Scores in more categories than these are left to their table.
_CATEGORIES = 6


def sentences(findings: Findings) -> list[str]:
    """The summary: what was compared, who leads, what differs, also inside ties, who is at chance, gaps.

    Returns:
        Sentences of plain text, for the caller to escape.
    """
    return [
        *_scope(findings),
        *_leading(findings),
        *_by_category(findings),
        *_against_baseline(findings),
        *_within_ties(findings),
        *phonebook.sentences(findings),
        *perplexity.sentences(findings),
        *prompts.sentences(findings),
        *answer_forms.sentences(findings),
        *_at_chance(findings),
        *missing(findings),
    ]


def _scope(findings: Findings) -> list[str]:
    members, answered = findings.members, findings.answered
    if not answered:
        return ["No member has a score under a plain prompt."]
    tasks = listing(list(dict.fromkeys(one.task for one in answered)))
    names = [short_name(one, findings.conditions) for one in answered]
    shown = f": {listing(names)}" if len(names) <= _NAMED else ""
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
        which = listing(left) if len(left) <= _NAMED else amount(len(left), "further condition")
        clauses.append(f"nobody has a score in {which}")
    if len(members) == 1:
        clauses.append("with one member, nothing is compared")
    return [f"{'; '.join(clauses)}."]


def _leading(findings: Findings) -> list[str]:
    groups: dict[tuple[tuple[str, ...], str], list[_Part]] = {}
    for condition, leader in findings.leaders.items():
        row = findings.score(leader.members[0], condition)
        if row is None:
            continue
        open_to = f", not distinguishable from {listing(leader.tied)}" if leader.tied else ""
        if leader.open:
            open_to += f", too few items to tell from {listing(leader.open)}"
        undecided = bool(leader.tied or leader.open)
        part = _Part(condition, f"{points(row['score'])} %{open_to}", row["score"], undecided)
        scored = [one for one in findings.members if findings.score(one, condition)]
        groups.setdefault((leader.members, _leads(leader.members, scored, findings.members)), []).append(part)
    # In the order of the members; a member's own conditions come before those that it shares.
    order = sorted(groups, key=lambda key: (findings.members.index(key[0][0]), len(key[0])))
    return [
        f"{listing(members)} {verb} {listing(_told(findings, groups[members, verb], '%'))}."
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


class _Part(NamedTuple):
    """What is said of a condition: its number in words, the number, and whether others are level with it."""

    condition: Condition
    words: str
    value: float
    tied: bool = False


def _told(findings: Findings, parts: list[_Part], unit: str = "", signed: bool = False) -> list[str]:
    """One text for each condition, or for each task where there are many conditions."""
    if len(findings.conditions) <= _NAMED:
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


def _unnamed(parts: list[_Part]) -> set[str]:
    """What the numbers are where they are no shares of right answers, which go without saying."""
    return {one.condition.metric for one in parts} & {"compression"}


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
        f"{family_sizes(findings.differences)} at the {100 * findings.alpha:g} % level{adjusted}."
    ]
    for member in findings.members:
        for verdict in VERDICTS:
            here = [row for row in rows if (row["member"], row["verdict"]) == (member, verdict)]
            parts = [
                _Part(conditions[row["task"], row["variant"]], _delta(row, spelled_out), row["delta"])
                for row in here
            ]
            if parts:
                told = listing(_told(findings, parts, signed=True))
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


def _at_chance(findings: Findings) -> list[str]:
    said = []
    otherwise = answer_forms.in_another_form(findings)
    for member in findings.members:
        level, below = [], []
        for condition in findings.conditions:
            row = findings.score(member, condition)
            if row is not None and condition.chance is not None:
                words = f"{points(row['score'])} %"
                if (missed := otherwise.get((member, condition), 0)) > answer_forms.MANY:
                    words += (
                        f", with {points(missed)} % of the answers empty or of another form than asked for"
                    )
                part = _Part(condition, words, row["score"])
                if row["high"] < condition.chance:
                    below.append(part)
                elif row["low"] <= condition.chance:
                    level.append(part)
        if level:
            said.append(f"{member} cannot be told from guessing on {listing(_told(findings, level, '%'))}.")
        if below:
            said.append(f"{member} is below guessing on {listing(_told(findings, below, '%'))}.")
    return said


def missing(findings: Findings) -> list[str]:
    """That the run lacks something, if it does."""
    gaps = findings.lacking
    if not gaps:
        return []
    return [
        f"Incomplete: {gaps[0]}"
        if len(gaps) == 1
        else f"Incomplete in {len(gaps)} places, listed in the notes."
    ]
