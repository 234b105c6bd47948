"""Scores with their intervals: what every table says of one member.

All functions are pure. `docs/statistics.md` says in words what is used where and why. Sources:

    Wilson (1927), Probable inference, JASA 22; see Brown, Cai & DasGupta (2001), Statistical Science 16
    Cochran (1977), Sampling Techniques, 3rd edition, chapters 5 (strata) and 6 (ratios)
    Zou, Huang & Zhang (2009), A note on confidence interval estimation for a linear function of binomial
        proportions, Computational Statistics & Data Analysis 53
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import stats

Scores: TypeAlias = npt.NDArray[np.float64]


class Interval(NamedTuple):
    """A confidence interval; NaN at both ends where none can be given."""

    low: float
    high: float


class Estimate(NamedTuple):
    """A mean score with its uncertainty.

    Attributes:
        n: Items.
        score: The mean; NaN without items.
        stderr: Its standard error.
        low, high: Confidence interval.
        method: `wilson`, `t`, `stratified` or `ratio`: how the interval was made.
    """

    n: int
    score: float
    stderr: float
    low: float
    high: float
    method: Literal["wilson", "t", "stratified", "ratio"]


def check_finite(**numbers: npt.ArrayLike) -> None:
    """Refuse numbers that are none: a mean over them would be none either, and a rank of them anything.

    Args:
        numbers: What is looked at, by the name that the message calls it.

    Raises:
        ValueError: NaN or an infinity is among them.
    """
    for name, values in numbers.items():
        flat = np.ravel(np.asarray(values, dtype=np.float64))
        bad = np.flatnonzero(~np.isfinite(flat))
        if len(bad):
            raise ValueError(
                f"{name} must be finite numbers, and that at place {bad[0]} is {flat[bad[0]]}: "
                "items without a score are to be left out before"
            )


def is_binary(values: Scores) -> bool:
    """Whether every value is 0 or 1, so that the mean is a proportion."""
    return bool(np.isin(values, (0.0, 1.0)).all())


def quantile(confidence: float) -> float:
    """Standard normal quantile that a two-sided interval of this coverage reaches to."""
    return float(stats.norm.ppf((1 + confidence) / 2))


@lru_cache(maxsize=2**16)  # one report needs the same ones many times
def wilson(successes: float, n: int, confidence: float = 0.95) -> Interval:
    """Wilson's score interval for a proportion, as scipy gives it.

    Unlike the textbook p ± z·se it stays within 0 and 1, is never empty, and keeps its coverage for small n
    and for proportions near the ends.

    Args:
        successes: Number of successes, from 0 to n. Of a number that is not whole (a mean over strata times
            their items) the interval reaches from the lower end of the next smaller whole number to the
            upper end of the next larger one.
        n: Number of trials.
        confidence: Coverage aimed at.

    Raises:
        ValueError: The successes are not a number from 0 to n.
    """
    check_finite(successes=successes)
    if n == 0:
        return Interval(math.nan, math.nan)
    known = round(successes, 6)  # a sum of means may be off in its last digits
    if known != int(known):
        fewer, more = math.floor(known), math.ceil(known)
        return Interval(wilson(fewer, n, confidence).low, wilson(more, n, confidence).high)
    found = stats.binomtest(int(known), n).proportion_ci(confidence, method="wilson")
    return Interval(float(found.low), float(found.high))


def mean_score(values: Scores, confidence: float = 0.95, weights: Scores | None = None) -> Estimate:
    """Mean of item scores between 0 and 1: Wilson's interval if all are 0 or 1, else Student's t.

    Args:
        values: One score per item, shape (n,), without NaN.
        confidence: Coverage aimed at.
        weights: What each item weighs, shape (n,), for a `weighted_mean` cut at 0 and 1; None for all alike.

    Raises:
        ValueError: A score or weight is not finite, or a weight is not positive.
    """
    check_finite(scores=values)
    n = len(values)
    if n == 0:
        return Estimate(0, math.nan, math.nan, math.nan, math.nan, "wilson")
    if weights is not None:
        found = weighted_mean(values, weights, confidence)
        # Scores that are all cut at 0 have no variance, which is not certainty.
        known = n > 1 and found.stderr > 0
        low, high = (max(0.0, found.low), min(1.0, found.high)) if known else (math.nan, math.nan)
        return found._replace(low=low, high=high)
    mean = float(np.mean(values))
    if is_binary(values):
        low, high = wilson(float(np.sum(values)), n, confidence)
        return Estimate(n, mean, math.sqrt(mean * (1 - mean) / n), low, high, "wilson")
    if n == 1:
        return Estimate(n, mean, math.nan, math.nan, math.nan, "t")
    stderr = float(np.std(values, ddof=1)) / math.sqrt(n)
    half = float(stats.t.ppf((1 + confidence) / 2, n - 1)) * stderr
    return Estimate(n, mean, stderr, max(0.0, mean - half), min(1.0, mean + half), "t")


def weighted_mean(values: Scores, weights: Scores, confidence: float = 0.95) -> Estimate:
    """Mean of rates of which each was measured on so much: nats per token of texts of so many tokens.

    It is the ratio of two sums, of all that was counted and of all that it was counted on, and both vary from
    one item to the next: the ratio estimator's variance is n / (n - 1) · sum of (w·(x - mean))², divided by
    the square of the weights' sum (Cochran 1977, chapter 6); the interval is Student's t.

    Args:
        values: Rate of each item, shape (n,), without NaN and at least one.
        weights: What it was measured on, shape (n,), positive.
        confidence: Coverage aimed at.

    Returns:
        The estimate; without standard error and interval where there is one item.

    Raises:
        ValueError: A score or weight is not finite, or a weight is not positive.
    """
    check_finite(scores=values, weights=weights)
    if not np.all(np.asarray(weights) > 0):
        raise ValueError("weights must be positive")
    n, total = len(values), float(np.sum(weights))
    mean = float(np.sum(weights * values)) / total
    if n == 1:
        return Estimate(n, mean, math.nan, math.nan, math.nan, "ratio")
    stderr = math.sqrt(n / (n - 1) * float(np.sum((weights * (values - mean)) ** 2))) / total
    half = float(stats.t.ppf((1 + confidence) / 2, n - 1)) * stderr
    return Estimate(n, mean, stderr, mean - half, mean + half, "ratio")


def macro_mean(values: Scores, strata: npt.NDArray[np.str_], confidence: float = 0.95) -> Estimate:
    """Average over strata (subjects) of the average over each one's items; every stratum weighs the same.

    The strata are taken as fixed (these subjects, not a sample of subjects), so the variance is the
    stratified estimator's: sum of s_k² / n_k over the K strata, divided by K² (Cochran 1977, chapter 5,
    with equal weights).

    Args:
        values: One score per item, shape (n,), without NaN.
        strata: The stratum each item belongs to, shape (n,).
        confidence: Coverage aimed at.

    Returns:
        The estimate. Its standard error and interval are NaN where a stratum has a single item, since such a
        stratum says nothing of its own spread. Where every stratum is all right or all wrong, the estimator's
        variance is zero, which is not certainty: the interval is Wilson's over all items then. A single
        stratum is the mean of its items, with the interval that `mean_score` gives it.

    Raises:
        ValueError: A score is not finite.
    """
    check_finite(scores=values)
    if len(values) == 0:
        return Estimate(0, math.nan, math.nan, math.nan, math.nan, "stratified")
    groups = [values[strata == stratum] for stratum in np.unique(strata)]
    if len(groups) == 1:
        return mean_score(values, confidence)
    mean = float(np.mean([np.mean(group) for group in groups]))
    if min(len(group) for group in groups) < 2:
        return Estimate(len(values), mean, math.nan, math.nan, math.nan, "stratified")
    variance = sum(float(np.var(group, ddof=1)) / len(group) for group in groups)
    stderr = math.sqrt(variance) / len(groups)
    if stderr == 0 and is_binary(values):
        low, high = wilson(mean * len(values), len(values), confidence)
        return Estimate(len(values), mean, stderr, low, high, "stratified")
    half = quantile(confidence) * stderr
    return Estimate(len(values), mean, stderr, max(0.0, mean - half), min(1.0, mean + half), "stratified")


def combined(parts: Sequence[Estimate], weights: Sequence[float]) -> Estimate:
    """Weighted average of scores of different items.

    Args:
        parts: The scores with their intervals, all of one coverage.
        weights: Weights of the parts, which sum to 1.

    Returns:
        The estimate; its variance is the sum of the parts' variances times their squared weights, as for
        strata (Cochran 1977, chapter 5). Each end of the interval lies as far from the score as the root of
        the summed squares of the parts' weighted distances to theirs (Zou, Huang & Zhang 2009), so that
        parts that are all wrong, whose variance is zero, do not pass for certain. Without an interval where a
        part has none.

    Raises:
        ValueError: A part has no score, or a weight is not finite.
    """
    check_finite(scores=[part.score for part in parts], weights=weights)
    pairs = list(zip(weights, parts, strict=True))
    score = sum(weight * part.score for weight, part in pairs)
    stderr = math.sqrt(sum((weight * part.stderr) ** 2 for weight, part in pairs))
    below = math.sqrt(sum((weight * (part.score - part.low)) ** 2 for weight, part in pairs))
    above = math.sqrt(sum((weight * (part.high - part.score)) ** 2 for weight, part in pairs))
    # NaN is neither the larger nor the smaller, so it is compared as the first of the two and stays.
    low, high = max(score - below, 0.0), min(score + above, 1.0)
    return Estimate(sum(part.n for part in parts), score, stderr, low, high, "stratified")
