"""Paired comparisons: what every table says of two members on the same items.

All functions are pure; whatever is random takes its generator. `docs/statistics.md` says in words what is
used where and why. Sources:

    McNemar (1947), Psychometrika 12, in its exact form: a binomial test on the discordant pairs
    Tango (1998), Equivalence test and confidence interval for the difference in proportions for the
        paired-sample design, Statistics in Medicine 17
    Fagerland, Lydersen & Laake (2014), Recommended tests and confidence intervals for paired binomial
        proportions, Statistics in Medicine 33
    Holm (1979), A simple sequentially rejective multiple test procedure, Scand. J. Statistics 6
    Connor (1987), Sample size for testing differences in proportions for the paired-sample design,
        Biometrics 43
    Efron & Tibshirani (1993), An Introduction to the Bootstrap
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import optimize, stats

from archbench.statistics.estimates import Interval, Scores, check_finite, is_binary, quantile, weighted_mean

RESAMPLES = 10_000
"""Bootstrap resamples and sign flips; the smallest p-value that flips can give is 1 / (RESAMPLES + 1)."""
_CHUNK = 4_000_000


class Difference(NamedTuple):
    """How two members compare on the same items, as first minus second.

    Attributes:
        n: Items that both were scored on.
        delta: Difference of the mean scores.
        low, high: Confidence interval of the difference.
        wins: Items on which the first scored more.
        losses: Items on which the second scored more.
        p: Two-sided p-value of "no difference".
        detectable: Smallest true difference that this comparison finds with 80 % probability; NaN if none.
        method: `mcnemar` (exact test, Tango's interval) or `bootstrap` (sign flips, percentile interval).
    """

    n: int
    delta: float
    low: float
    high: float
    wins: int
    losses: int
    p: float
    detectable: float
    method: Literal["mcnemar", "bootstrap"]


@lru_cache(maxsize=2**16)  # one report needs the same ones many times
def mcnemar_exact(wins: int, losses: int) -> float:
    """Exact two-sided McNemar test: scipy's binomial test of the discordant pairs against a fair coin.

    Args:
        wins: Pairs in which only the first was right.
        losses: Pairs in which only the second was right.
    """
    if wins + losses == 0:
        return 1.0
    return float(stats.binomtest(min(wins, losses), wins + losses, 0.5).pvalue)


def tango(wins: int, losses: int, n: int, confidence: float = 0.95) -> Interval:
    """Tango's score interval for the difference of two paired proportions, (wins - losses) / n.

    The limits are the differences at which the score statistic

        T(d) = (wins - losses - n·d) / sqrt(n · (2·q + d·(1 - d)))

    equals ±z, where q is the maximum-likelihood estimate of the probability of a loss given d (Tango 1998).
    At d = 0 it is McNemar's statistic, so the interval and McNemar's asymptotic test agree.
    Chosen among the three that Fagerland et al. (2014) recommend because it respects the range, needs no
    correction when there are no discordant pairs, and uses the discordant counts alone, as the test does.

    Args:
        wins: Pairs in which only the first was right.
        losses: Pairs in which only the second was right.
        n: All pairs.
        confidence: Coverage aimed at.
    """
    if n == 0:
        return Interval(math.nan, math.nan)
    z, delta = quantile(confidence), (wins - losses) / n

    def excess(d: float, side: int) -> float:
        # T(d) = side·z, multiplied by the denominator: no division by zero at the ends.
        b = -wins - losses + (2 * n - wins + losses) * d
        c = -losses * d * (1 - d)
        q = (math.sqrt(max(0.0, b * b - 8 * n * c)) - b) / (4 * n)
        return wins - losses - n * d - side * z * math.sqrt(n * max(0.0, 2 * q + d * (1 - d)))

    def limit(end: float, side: int) -> float:
        if abs(end - delta) < 1e-12:
            return end
        inside = delta + (end - delta) * 1e-12  # at delta itself the root of an all-concordant table lies too
        if excess(inside, side) * excess(end, side) >= 0:
            return end
        return float(optimize.brentq(excess, inside, end, args=(side,), xtol=1e-12))

    return Interval(limit(-1.0, 1), limit(1.0, -1))


def paired_difference(
    first: Scores,
    second: Scores,
    rng: np.random.Generator,
    confidence: float = 0.95,
    weights: Scores | None = None,
) -> Difference:
    """Compare two members on the same items.

    Scores that are all 0 or 1 get the exact McNemar test and Tango's interval. Others get a sign-flip
    permutation test and a bootstrap percentile interval over items, as do items that weigh differently.

    Args:
        first: Scores of the one member, shape (n,), without NaN.
        second: Scores of the other on the same items in the same order, shape (n,).
        rng: Drawn from only where the scores are not binary.
        confidence: Coverage aimed at; its complement is the test level that `detectable` assumes.
        weights: What each item weighs in the means, shape (n,); None for all alike.

    Raises:
        ValueError: The two have different shapes, or a score or weight is not finite.
    """
    if first.shape != second.shape:
        raise ValueError(f"paired scores have shapes {first.shape} and {second.shape}")
    check_finite(first_scores=first, second_scores=second, weights=() if weights is None else weights)
    n, differences, alpha = len(first), first - second, 1 - confidence
    wins, losses = int(np.sum(differences > 0)), int(np.sum(differences < 0))
    delta = float(np.average(differences, weights=weights)) if n else math.nan
    if weights is None and is_binary(first) and is_binary(second):
        low, high = tango(wins, losses, n, confidence)
        p = mcnemar_exact(wins, losses)
        detectable = minimum_detectable(n, (wins + losses) / n, alpha) if n else math.nan
        return Difference(n, delta, low, high, wins, losses, p, detectable, "mcnemar")
    weights = np.ones(n) if weights is None else weights
    low, high = bootstrap_interval(differences, rng, confidence, weights=weights)
    p = sign_flip_test(weights * differences, rng)
    detectable = math.nan
    if wins + losses and n > 1:
        stderr = weighted_mean(differences, weights).stderr
        detectable = (quantile(confidence) + float(stats.norm.ppf(0.8))) * stderr
    return Difference(n, delta, low, high, wins, losses, p, detectable, "bootstrap")


def bootstrap_interval(
    differences: Scores,
    rng: np.random.Generator,
    confidence: float = 0.95,
    resamples: int = RESAMPLES,
    weights: Scores | None = None,
) -> Interval:
    """Percentile interval of the mean over items drawn with replacement (Efron & Tibshirani 1993).

    Args:
        differences: Paired differences, shape (n,).
        rng: Source of the resamples.
        confidence: Coverage aimed at.
        resamples: How many times the items are drawn.
        weights: What each item weighs in the mean, shape (n,); None for all alike.

    Raises:
        ValueError: A difference or weight is not finite.
    """
    check_finite(differences=differences, weights=() if weights is None else weights)
    n = len(differences)
    weights = np.ones(n) if weights is None else weights
    sums = weights * differences
    if n < 2:
        return Interval(math.nan, math.nan)
    chunk = max(1, _CHUNK // n)
    means = []
    for start in range(0, resamples, chunk):
        drawn = rng.integers(0, n, size=(min(chunk, resamples - start), n))
        means.append(sums[drawn].sum(axis=1) / weights[drawn].sum(axis=1))
    low, high = np.quantile(np.concatenate(means), [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(float(low), float(high))


def sign_flip_test(differences: Scores, rng: np.random.Generator, resamples: int = RESAMPLES) -> float:
    """Two-sided permutation test of a mean of zero: under it, which member is which is a coin toss per item.

    Args:
        differences: Paired differences, shape (n,).
        rng: Source of the coin tosses.
        resamples: How many assignments are tried in addition to the real one, which counts too, so that p is
            never 0 and the test never rejects more often than its level.

    Raises:
        ValueError: A difference is not finite.
    """
    check_finite(differences=differences)
    moved = differences[differences != 0]
    if len(moved) == 0:
        return 1.0
    observed, extreme = abs(float(np.sum(moved))), 1
    chunk = max(1, _CHUNK // len(moved))
    for start in range(0, resamples, chunk):
        heads = rng.integers(0, 2, size=(min(chunk, resamples - start), len(moved)), dtype=np.int8)
        sums = np.abs((2.0 * heads - 1.0) @ moved)
        extreme += int(np.sum(sums >= observed * (1 - 1e-9)))  # equal sums may differ in their last digit
    return extreme / (resamples + 1)


def holm(p_values: npt.ArrayLike) -> Scores:
    """Adjust p-values for their number, so that any false alarm in the family is as rare as the level says.

    Args:
        p_values: The family, shape (m,).

    Returns:
        Adjusted p-values in the same order, shape (m,), at most 1.

    Raises:
        ValueError: A p-value is not finite.
    """
    check_finite(p_values=p_values)
    p = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p, kind="stable")
    steps = np.maximum.accumulate(p[order] * (len(p) - np.arange(len(p))))
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(steps, 1.0)
    return adjusted


def minimum_detectable(n: int, discordance: float, alpha: float = 0.05, power: float = 0.8) -> float:
    """Smallest difference of two paired proportions that McNemar's test finds with the given power.

    Solves Connor's (1987) sample-size formula, sqrt(n)·d = z_a·sqrt(psi) + z_b·sqrt(psi - d²), for d.

    Args:
        n: Number of pairs.
        discordance: Share psi of pairs in which exactly one is right.
        alpha: Two-sided test level.
        power: Probability of finding the difference.

    Returns:
        The difference, or NaN where even the largest that this discordance allows would be missed.

    Raises:
        ValueError: The discordance is not finite.
    """
    check_finite(discordance=discordance)
    za, zb = quantile(1 - alpha), float(stats.norm.ppf(power))
    inner = n - za * za + zb * zb
    if discordance <= 0 or inner < 0:
        return math.nan
    d = math.sqrt(discordance) * (za * math.sqrt(n) + zb * math.sqrt(inner)) / (n + zb * zb)
    return d if d <= discordance else math.nan
