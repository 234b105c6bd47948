"""Families of paired comparisons: every pair on the same items, p-values of a kind adjusted together."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from archbench.results.conditions import Condition
from archbench.statistics.estimates import Scores
from archbench.statistics.paired import holm, paired_difference

VERDICTS = ("better", "worse", "not distinguishable", "too few items to tell")
"""What a comparison can end in."""
UNDECIDED = VERDICTS[2:]
"""Verdicts that leave open who is better: the test did not decide, or could not have decided."""


def scores_of(column: pd.Series) -> Scores:
    """The scores in a metric's column, items without one left out, shape (n,)."""
    values: Scores = column.dropna().to_numpy(dtype=np.float64)
    return values


def independent_scores(rows: pd.DataFrame, metric: str) -> tuple[Scores, Scores | None]:
    """Scores of what is independent of each other, shape (n,), and what each weighs; None for all alike.

    Items, as a rule. Where items are parts of a `passage` (the buckets of a window of text), a passage counts
    once: as so many items, a few windows would pass for much evidence. All its `bytes` weigh alike, so that
    the mean is that of the whole text, as bits per byte are.

    Args:
        rows: Item rows.
        metric: The column of scores; rows without one are left out.
    """
    scored = rows[rows[metric].notna()]
    if "passage" not in scored or scored.empty or scored["passage"].isna().any():
        return scores_of(scored[metric]), None
    weighed = pd.DataFrame({"sum": scored[metric] * scored["bytes"], "bytes": scored["bytes"]}, dtype=float)
    sums = weighed.groupby(scored["passage"], sort=False).sum()
    return scores_of(sums["sum"] / sums["bytes"]), scores_of(sums["bytes"])


def compare_pairs(
    rows: Mapping[tuple[str, str, str], pd.DataFrame],
    pairs: Iterable[tuple[Condition, str, str]],
    metric: str | None,
    confidence: float,
    seed: int,
    by: str | None = None,
) -> list[dict[str, Any]]:
    """Compare pairs of members, and adjust the p-values of each kind of score by Holm's method.

    Comparisons of right answers are one family, those of losses another: they are separate questions, and
    a loss, which nearly any two members differ in, would make the thresholds of the others' tests depend on
    whether a text was read in the same run.

    Args:
        rows: Item rows by member, task and variant; within a condition all in the same order of items.
        pairs: Condition, member, and the member it is compared with.
        metric: The metric; each condition's primary one if None.
        confidence: Coverage of the intervals; its complement is the level of the verdicts.
        seed: Seeds the resampling of scores that are not 0 or 1.
        by: Item column whose groups are compared one by one; None for all items together.

    Returns:
        One record per pair of which both members have scores; with `by`, per pair and group.
    """
    records: list[dict[str, Any]] = []
    families: dict[bool, list[dict[str, Any]]] = {}
    for condition, member, baseline in pairs:
        name = metric or condition.metric
        first = rows.get((member, condition.task, condition.variant))
        second = rows.get((baseline, condition.task, condition.variant))
        if first is None or second is None or name not in first or name not in second:
            continue
        both = (first[name].notna() & second[name].notna()).to_numpy()
        for group, here in _groups(first, both, by):
            (a, weights), (b, _) = (independent_scores(rows[here], name) for rows in (first, second))
            rng = _generator(seed, condition.task, condition.variant, member, baseline, name, *group.values())
            names = {"task": condition.task, "kind": condition.kind, "variant": condition.variant}
            means = {
                "score": float(np.average(a, weights=weights)),
                "baseline_score": float(np.average(b, weights=weights)),
            }
            found = paired_difference(a, b, rng, confidence, weights)._asdict()
            who = {"member": member, "baseline": baseline, "metric": name}
            record = dict(condition.labels) | names | group | who | means | found
            records.append(record)
            families.setdefault(condition.measures_loss, []).append(record)
    for family in families.values():
        _adjust(family, 1 - confidence)
    return records


def _adjust(family: list[dict[str, Any]], alpha: float) -> None:
    """Add adjusted p-value, size of the family, items needed and verdict to each comparison of a family."""
    better, worse, level, too_few = VERDICTS
    p_values = [record["p"] for record in family]
    for at, (record, p_holm) in enumerate(zip(family, holm(p_values), strict=True)):
        needed = fewest_items([*p_values[:at], *p_values[at + 1 :]], alpha)
        record |= {"p_holm": float(p_holm), "adjusted_for": len(family), "needed": needed}
        if p_holm < alpha:
            record["verdict"] = better if record["delta"] > 0 else worse
        else:
            record["verdict"] = too_few if record["n"] < needed else level


def fewest_items(others: Sequence[float], alpha: float) -> int:
    """Items from which on a comparison could be significant at all.

    The largest difference there is, one member ahead on all of n items, has the p-value 2 / 2^n, by the exact
    McNemar test as by sign flips. With fewer items than returned here even that would not be significant.

    Args:
        others: The p-values of the other comparisons of its family, shape (m - 1,).
        alpha: Level of the tests, after Holm's adjustment for all m.
    """
    n = 1
    while holm([2.0 ** (1 - n), *others])[0] >= alpha:
        n += 1
    return n


def _groups(
    rows: pd.DataFrame, scored: npt.NDArray[np.bool_], by: str | None
) -> list[tuple[dict[str, str], npt.NDArray[np.bool_]]]:
    """The groups of the scored items, each with its name by column; all of them as one where `by` is None."""
    if by is None:
        return [({}, scored)] if scored.any() else []
    if by not in rows:
        return []
    column = rows[by].where(scored)
    return [({by: str(name)}, (column == name).to_numpy()) for name in sorted(column.dropna().unique())]


def _generator(seed: int, *names: str) -> np.random.Generator:
    """A stream of its own for every comparison, whatever the order they are made in."""
    digest = hashlib.sha256("\0".join([str(seed), *names]).encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:16]))
