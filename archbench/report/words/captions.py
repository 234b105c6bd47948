"""Sentences that tables share: what was measured, on how many items, and how the best were found."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from archbench.errors import amount
from archbench.report.findings import Findings
from archbench.report.words.naming import short_name
from archbench.results.comparisons import VERDICTS
from archbench.results.conditions import Condition
from archbench.results.frames import NOISE

DAGGER = "†"
"""Marks what the test does not tell from the highest."""

METRICS = {
    "acc": "acc (summed log-likelihood)",
    "acc_norm": "acc_norm (log-likelihood per character)",
    "acc_token": "acc_token (log-likelihood per token)",
    "compression": "compression (1 − bits per byte / 8)",
}
"""What metrics compare the choices by, or are, where their name does not tell."""


def items_in(findings: Findings, condition: Condition) -> int:
    """Scored items of a condition."""
    return max(
        (row["n"] for member in findings.members if (row := findings.score(member, condition))), default=0
    )


def items_caption(findings: Findings, conditions: Sequence[Condition]) -> str:
    """How many items stand behind every column, and whether some members have fewer."""
    answered = [one for one in conditions if findings.scored(one)]
    counts = sorted({items_in(findings, one) for one in answered})
    if not counts:
        return "No item has a score."
    if len(counts) == 1:
        columns = "every column" if len(answered) == len(conditions) else "every column with a score"
        text = f"n = {amount(counts[0], 'item')} in {columns}."
    else:
        text = f"n = {counts[0]:,} to {counts[-1]:,} items per column (last row)."
    fewer = any(
        row["n"] < items_in(findings, one)
        for one in answered
        for member in findings.members
        if (row := findings.score(member, one))
    )
    return f"{text} Some members have a score for fewer of them (notes)." if fewer else text


def metric_caption(conditions: Sequence[Condition]) -> str:
    """Which metric is shown, for which condition if they differ."""
    metrics = list(dict.fromkeys(one.metric for one in conditions))
    if len(metrics) == 1:
        return f"Metric: {METRICS.get(metrics[0], metrics[0])}."
    parts = []
    for metric in metrics:
        names = [short_name(one, conditions) for one in conditions if one.metric == metric]
        parts.append(f"{METRICS.get(metric, metric)} for {', '.join(names)}")
    return f"Metrics: {'; '.join(parts)}."


def leaders_caption(findings: Findings) -> str:
    """What bold and dagger mean, with a space behind it; nothing where there is one member."""
    # An accuracy table shows no losses, and their tests are a family of their own.
    tests = findings.of_graded(findings.leader_tests)
    if not any(len(findings.scored(one)) > 1 for one in findings.graded):
        return ""
    if tests.empty:
        return f"Bold: the highest of its column. {DAGGER}: too few items in common to tell it from it. "
    few = f", or {VERDICTS[-1]}" if (tests["verdict"] == VERDICTS[-1]).any() else ""
    return (
        f"Bold: the highest of its column. {DAGGER}: not distinguishable from it{few} (paired test on the "
        f"same items, p ≥ {findings.alpha:g} after Holm's adjustment for {family_sizes(findings, tests)} "
        "with the highest). "
    )


def family_sizes(findings: Findings, tests: pd.DataFrame) -> str:
    """How many comparisons p-values are adjusted for; of right answers and of losses where there are both."""
    losses = len(tests) - len(findings.of_accuracy(tests))
    if losses in (0, len(tests)):
        return _comparisons(len(tests))
    answers = _comparisons(len(tests) - losses)
    return f"{answers} of right answers and, apart, {_comparisons(losses)} of losses"


def _comparisons(count: int) -> str:
    return f"{count:,} comparisons" if count > 1 else "one comparison"


def interval_methods(scores: pd.DataFrame) -> str:
    """Whose intervals they are, in brackets with a space before; nothing where there is no score."""
    names = {
        "wilson": "Wilson's",
        "t": "Student's t where scores are not just 0 or 1",
        "ratio": "Student's t for a ratio, over windows",
    }
    used = [names[method] for method in names if method in set(scores.loc[scores["n"] > 0, "method"])]
    return f" ({', '.join(used)})" if used else ""


def margins_note(findings: Findings) -> list[str]:
    """A line on answers that noise could turn, for every member; none where margins are not known."""
    margins = findings.results.margins()
    if margins.empty:
        return []
    sums = margins.groupby("member")[["n", "near", "ties"]].sum()
    parts = [
        f"{member} {sums['near'][member]:,} of {sums['n'][member]:,} ({sums['ties'][member]:,} exactly tied)"
        for member in findings.members
        if member in sums.index
    ]
    what = (
        f"Answers whose two best choices lie within {NOISE:g} nats, so that numerical noise could turn them"
    )
    return [f"{what}: {', '.join(parts)}."]
