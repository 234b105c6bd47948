"""Statistics against published worked examples, brute force, exact coverage and properties."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, stats

from archbench.statistics import estimates, paired


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    # Newcombe (1998), Two-sided confidence intervals for the single proportion: Wilson's method.
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_gives_newcombes_examples(successes: int, n: int, low: float, high: float) -> None:
    assert estimates.wilson(successes, n) == pytest.approx((low, high), abs=5e-5)


def test_wilson_is_the_closed_form() -> None:
    z = stats.norm.ppf(0.95)
    for n, successes in itertools.product((1, 7, 40), range(8)):
        if successes <= n:
            p = successes / n
            centre = (p + z * z / (2 * n)) / (1 + z * z / n)
            half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
            known = (max(0.0, centre - half), min(1.0, centre + half))
            assert estimates.wilson(successes, n, 0.9) == pytest.approx(known, abs=1e-12)


def test_wilson_of_a_number_that_is_not_whole_holds_its_neighbours() -> None:
    fewer, more = estimates.wilson(3, 10), estimates.wilson(4, 10)
    assert estimates.wilson(3.4, 10) == (fewer.low, more.high)
    assert estimates.wilson(3 - 1e-12, 10) == fewer
    assert all(map(math.isnan, estimates.wilson(0, 0)))


def test_wilson_covers_the_truth_as_often_as_it_says() -> None:
    n = 60
    coverages = []
    for p in np.linspace(0.05, 0.95, 91):
        inside = [estimates.wilson(k, n).low <= p <= estimates.wilson(k, n).high for k in range(n + 1)]
        coverages.append(float(np.sum(stats.binom.pmf(range(n + 1), n, p)[inside])))
    assert np.mean(coverages) == pytest.approx(0.95, abs=0.01)
    assert min(coverages) > 0.90


@settings(deadline=None)  # a busy machine is no failure
@given(st.integers(1, 500), st.data())
def test_wilson_is_symmetric_and_holds_the_proportion(n: int, data: st.DataObject) -> None:
    k = data.draw(st.integers(0, n))
    low, high = estimates.wilson(k, n)
    assert 0 <= low <= k / n <= high <= 1
    mirrored = estimates.wilson(n - k, n)
    assert (1 - high, 1 - low) == pytest.approx(mirrored)
    wider = estimates.wilson(k, n, 0.99)
    assert wider.low <= low
    assert wider.high >= high


def test_mcnemar_gives_the_published_example() -> None:
    # Bentur et al. (2009) as analysed by Fagerland, Lydersen & Laake (2014): 1 and 7 discordant of 21.
    assert paired.mcnemar_exact(1, 7) == pytest.approx(0.0703, abs=5e-5)


@settings(deadline=None)  # a busy machine is no failure
@given(st.integers(0, 60), st.integers(0, 60))
def test_mcnemar_is_scipys_binomial_test(wins: int, losses: int) -> None:
    known = stats.binomtest(wins, wins + losses).pvalue if wins + losses else 1.0
    assert paired.mcnemar_exact(wins, losses) == pytest.approx(known)
    assert paired.mcnemar_exact(losses, wins) == paired.mcnemar_exact(wins, losses)


def test_tango_gives_the_published_example() -> None:
    # Fagerland, Lydersen & Laake (2014), the same data: -0.517 to -0.026.
    assert paired.tango(1, 7, 21) == pytest.approx((-0.517, -0.026), abs=5e-4)


@pytest.mark.parametrize(("wins", "losses", "n"), [(3, 9, 30), (12, 2, 40), (0, 6, 25), (5, 5, 12)])
def test_tango_agrees_with_a_likelihood_maximised_by_brute_force(wins: int, losses: int, n: int) -> None:
    for d in paired.tango(wins, losses, n):

        def unlikelihood(q: float, d: float = d) -> float:
            p = np.clip([q + d, q, 1 - 2 * q - d], 1e-300, None)
            return -float(np.dot([wins, losses, n - wins - losses], np.log(p)))

        bounds = (max(0.0, -d), (1 - d) / 2)
        q = optimize.minimize_scalar(
            unlikelihood, bounds=bounds, method="bounded", options={"xatol": 1e-12}
        ).x
        t = (wins - losses - n * d) / math.sqrt(n * (2 * q + d - d * d))
        assert abs(t) == pytest.approx(1.959964, abs=2e-4)


@settings(deadline=None)  # a busy machine is no failure
@given(st.integers(1, 300), st.data())
def test_tango_is_antisymmetric_and_stays_in_range(n: int, data: st.DataObject) -> None:
    wins = data.draw(st.integers(0, n))
    losses = data.draw(st.integers(0, n - wins))
    low, high = paired.tango(wins, losses, n)
    assert -1 <= low <= (wins - losses) / n <= high <= 1
    assert low < high
    assert paired.tango(losses, wins, n) == pytest.approx((-high, -low), abs=1e-8)
    # It excludes zero exactly where McNemar's asymptotic test rejects.
    if wins + losses:
        chi = abs(wins - losses) / math.sqrt(wins + losses)
        if abs(chi - 1.959964) > 1e-4:
            assert (low > 0 or high < 0) == (chi > 1.959964)


def test_tango_without_discordant_pairs_shrinks_with_n() -> None:
    z2 = 1.959964**2
    for n in (10, 100, 10_000):
        assert paired.tango(0, 0, n) == pytest.approx((-z2 / (n + z2), z2 / (n + z2)), abs=1e-6)


def test_tango_covers_a_planted_difference() -> None:
    rng = np.random.default_rng(1)
    wins, losses, n = 0.25, 0.15, 80
    draws = rng.multinomial(n, [wins, losses, 1 - wins - losses], size=1500)
    inside = [
        low <= wins - losses <= high for low, high in (paired.tango(int(b), int(c), n) for b, c, _ in draws)
    ]
    assert np.mean(inside) == pytest.approx(0.95, abs=0.015)


def test_tango_tends_to_the_normal_interval() -> None:
    n, b, c = 1_000_000, 200_000, 190_000
    stderr = math.sqrt((b + c) / n - ((b - c) / n) ** 2) / math.sqrt(n)
    low, high = paired.tango(b, c, n)
    assert (high - low) / 2 == pytest.approx(1.959964 * stderr, rel=1e-3)


def test_mcnemar_rejects_no_more_often_than_its_level() -> None:
    rng = np.random.default_rng(2)
    draws = rng.multinomial(100, [0.15, 0.15, 0.7], size=3000)
    assert np.mean([paired.mcnemar_exact(int(b), int(c)) < 0.05 for b, c, _ in draws]) <= 0.055


def test_paired_difference_is_antisymmetric_and_counts_discordant_pairs() -> None:
    a, b = np.array([1.0, 1, 1, 0, 0, 1]), np.array([0.0, 1, 0, 1, 0, 0])
    one, other = (paired.paired_difference(x, y, np.random.default_rng(0)) for x, y in ((a, b), (b, a)))
    assert (one.wins, one.losses, one.method) == (3, 1, "mcnemar")
    assert one.delta == pytest.approx(2 / 6)
    assert (other.delta, other.low, other.high, other.p) == pytest.approx(
        (-one.delta, -one.high, -one.low, one.p)
    )
    with pytest.raises(ValueError, match="shapes"):
        paired.paired_difference(a, b[:3], np.random.default_rng(0))


def test_bootstrap_covers_and_repeats_with_its_seed() -> None:
    rng = np.random.default_rng(3)
    samples = rng.beta(2, 3, size=(400, 60)) - 0.4
    inside = [
        low <= 0 <= high for low, high in (paired.bootstrap_interval(x, rng, resamples=400) for x in samples)
    ]
    assert np.mean(inside) == pytest.approx(0.94, abs=0.03)
    again = [paired.bootstrap_interval(samples[0], np.random.default_rng(4)) for _ in range(2)]
    assert again[0] == again[1]


def test_sign_flips_match_full_enumeration() -> None:
    d = np.array([0.3, -0.1, 0.25, 0.4, 0.05, -0.2, 0.15, 0.35])
    sums = [abs(np.dot(signs, d)) for signs in itertools.product((-1, 1), repeat=len(d))]
    exact = np.mean(np.array(sums) >= abs(d.sum()) - 1e-12)
    assert paired.sign_flip_test(d, np.random.default_rng(0), 20_000) == pytest.approx(exact, abs=0.01)
    assert paired.sign_flip_test(np.zeros(5), np.random.default_rng(0)) == 1.0


def test_sign_flips_of_binary_differences_match_mcnemar() -> None:
    d = np.array([1.0] * 14 + [-1.0] * 5 + [0.0] * 30)
    assert paired.sign_flip_test(d, np.random.default_rng(0)) == pytest.approx(
        paired.mcnemar_exact(14, 5), abs=0.01
    )


def test_non_binary_scores_are_bootstrapped() -> None:
    rng = np.random.default_rng(5)
    base = rng.uniform(0, 0.8, 200)
    found = paired.paired_difference(base + rng.uniform(0, 0.2, 200), base, np.random.default_rng(0))
    assert found.method == "bootstrap"
    assert found.low < found.delta < found.high
    assert found.p == pytest.approx(1 / (paired.RESAMPLES + 1))
    alone = paired.paired_difference(np.array([0.5]), np.array([0.2]), np.random.default_rng(0))
    assert math.isnan(alone.low)
    assert alone.p == 1.0


def test_holm_gives_the_known_answer() -> None:
    # What R's p.adjust(c(.01, .04, .03, .005), "holm") prints.
    assert paired.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert len(paired.holm([])) == 0


@settings(deadline=None)  # a busy machine is no failure
@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_lies_between_raw_and_bonferroni_and_keeps_the_order(p: list[float]) -> None:
    adjusted = paired.holm(p)
    assert np.all(adjusted >= p)
    assert np.all(adjusted <= np.minimum(1, np.array(p) * len(p)) + 1e-15)
    assert np.all(np.diff(adjusted[np.argsort(p, kind="stable")]) >= 0)


def test_minimum_detectable_difference_is_found_as_often_as_it_says() -> None:
    n, discordance = 400, 0.3
    d = paired.minimum_detectable(n, discordance)
    assert math.sqrt(n) * d == pytest.approx(
        1.959964 * 0.3**0.5 + 0.841621 * math.sqrt(0.3 - d * d), rel=1e-5
    )
    draws = np.random.default_rng(6).multinomial(
        n, [(discordance + d) / 2, (discordance - d) / 2, 1 - discordance], size=3000
    )
    chi = np.abs(draws[:, 0] - draws[:, 1]) / np.sqrt(draws[:, 0] + draws[:, 1])
    assert np.mean(chi > 1.959964) == pytest.approx(0.8, abs=0.025)


@settings(deadline=None)  # a busy machine is no failure
@given(st.integers(1, 10_000), st.floats(0, 1))
def test_minimum_detectable_shrinks_with_n(n: int, discordance: float) -> None:
    here, more = paired.minimum_detectable(n, discordance), paired.minimum_detectable(4 * n, discordance)
    if not math.isnan(here):
        assert 0 < more <= here <= discordance


def test_mean_score_uses_wilson_for_binary_and_t_otherwise() -> None:
    binary = estimates.mean_score(np.array([1.0, 0, 1, 1]))
    assert (binary.method, binary.low, binary.high) == ("wilson", *estimates.wilson(3, 4))
    graded = estimates.mean_score(np.array([0.2, 0.4, 0.9, 0.5]))
    known = stats.t.interval(0.95, 3, 0.5, stats.sem([0.2, 0.4, 0.9, 0.5]))
    assert (graded.low, graded.high) == pytest.approx((max(0, known[0]), min(1, known[1])))
    assert math.isnan(estimates.mean_score(np.array([0.5])).low)
    assert estimates.mean_score(np.array([])).n == 0


def test_macro_mean_weighs_subjects_alike_and_covers() -> None:
    strata = np.array(["a"] * 20 + ["b"] * 80)
    values = np.array([1.0] * 10 + [0.0] * 10 + [1.0] * 20 + [0.0] * 60)
    found = estimates.macro_mean(values, strata)
    assert found.score == pytest.approx((0.5 + 0.25) / 2)
    expected = math.sqrt(0.25 / 19 + 0.1875 / 79) / 2  # s²/n with ddof 1 of each stratum
    assert found.stderr == pytest.approx(expected)
    rng = np.random.default_rng(7)
    truth = np.where(strata == "a", 0.6, 0.3)
    drawn = [estimates.macro_mean((rng.random(100) < truth).astype(float), strata) for _ in range(1500)]
    assert np.mean([one.low <= 0.45 <= one.high for one in drawn]) == pytest.approx(0.94, abs=0.02)


def test_macro_mean_of_all_wrong_is_not_certain() -> None:
    mixed = estimates.macro_mean(np.array([1.0] * 4 + [0.0] * 3), np.array(["a"] * 4 + ["b"] * 3))
    assert mixed.low <= estimates.wilson(3, 7).low < mixed.score < estimates.wilson(4, 7).high <= mixed.high
    found = estimates.macro_mean(np.zeros(20), np.array(["a", "b"] * 10))
    assert (found.score, found.low) == (0.0, 0.0)
    assert found.high == pytest.approx(estimates.wilson(0, 20)[1])


def test_macro_mean_of_single_items_has_no_interval() -> None:
    found = estimates.macro_mean(np.array([1.0, 0.0, 1.0]), np.array(["a", "b", "b"]))
    assert found.score == pytest.approx(0.75)
    assert math.isnan(found.stderr)


def test_macro_mean_of_one_stratum_is_the_mean_of_its_items() -> None:
    values = np.array([0.0] * 97 + [1.0] * 3)
    assert estimates.macro_mean(values, np.full(100, "only")) == estimates.mean_score(values)


def test_combined_scores_are_weighted_and_so_are_their_errors() -> None:
    parts = [estimates.mean_score(np.arange(n) < right) for n, right in ((10, 8.0), (20, 4.0))]
    found = estimates.combined(
        [one._replace(stderr=e) for one, e in zip(parts, (0.04, 0.03), strict=True)], [0.25, 0.75]
    )
    assert (found.n, found.score) == (30, pytest.approx(0.25 * 0.8 + 0.75 * 0.2))
    assert found.stderr == pytest.approx(math.hypot(0.25 * 0.04, 0.75 * 0.03))
    low, high = (
        math.hypot(0.25 * (a - 0.8), 0.75 * (b - 0.2)) for a, b in zip(*(p[3:5] for p in parts), strict=True)
    )
    assert (found.score - found.low, found.high - found.score) == pytest.approx((low, high))
    # One part weighs all: its own interval.
    assert estimates.combined(parts, [1, 0])[1:5] == pytest.approx(parts[0][1:5])
    nothing = estimates.combined([estimates.mean_score(np.zeros(100))] * 3, [1 / 3] * 3)
    assert nothing.low == 0
    assert 0.01 < nothing.high < estimates.wilson(0, 100).high
    unknown = parts[0]._replace(low=math.nan, high=math.nan)
    assert all(map(math.isnan, estimates.combined([parts[1], unknown], [0.5, 0.5])[3:5]))


def test_combined_scores_cover_what_they_should() -> None:
    rng, truth, covered = np.random.default_rng(0), (0.02, 0.3, 0.95), 0
    for _ in range(1000):
        found = estimates.combined(
            [estimates.mean_score((rng.random(40) < p).astype(float)) for p in truth], [1 / 2, 1 / 3, 1 / 6]
        )
        covered += found.low <= np.dot(truth, [1 / 2, 1 / 3, 1 / 6]) <= found.high
    assert 0.93 <= covered / 1000 <= 0.98


def test_a_weighted_mean_is_a_ratio_of_sums() -> None:
    values, weights = np.array([0.2, 0.4, 0.9]), np.array([1.0, 2.0, 5.0])
    found = estimates.mean_score(values, weights=weights)
    assert (found.n, found.score, found.method) == (3, pytest.approx((0.2 + 0.8 + 4.5) / 8), "ratio")
    residuals = (
        weights * values - found.score * weights
    )  # Cochran (1977), (6.13), the finite correction left out
    assert found.stderr == pytest.approx(math.sqrt((residuals**2).sum() / 2 * 3) / 8)
    even = estimates.mean_score(values, weights=np.full(3, 7.0))
    assert even[1:5] == pytest.approx(estimates.mean_score(values)[1:5])
    assert math.isnan(estimates.mean_score(values[:1], weights=weights[:1]).low)
    assert math.isnan(estimates.mean_score(np.zeros(3), weights=weights).high), "no variance is not certainty"


def test_a_paired_difference_of_weighted_scores_is_the_difference_of_their_means() -> None:
    rng = np.random.default_rng(1)
    weights = rng.uniform(1, 9, 80)
    first, second = rng.uniform(0, 1, 80), rng.uniform(0, 0.5, 80)
    found = paired.paired_difference(first, second, rng, weights=weights)
    means = [estimates.mean_score(one, weights=weights).score for one in (first, second)]
    assert found.delta == pytest.approx(means[0] - means[1])
    assert found.low < found.delta < found.high
    exact = estimates.weighted_mean(first - second, weights)
    assert (found.low, found.high) == pytest.approx((exact.low, exact.high), abs=0.01)
    assert found.p < 0.01


RNG = np.random.default_rng(0)
PART = estimates.Estimate(3, 0.5, 0.1, 0.3, 0.7, "t")
TAKES_NUMBERS: dict[str, Callable[[Any], Any]] = {
    "wilson": lambda bad: estimates.wilson(bad, 3),
    "mean": lambda bad: estimates.mean_score(np.array([1.0, bad, 0.0])),
    "weighted mean": lambda bad: estimates.mean_score(np.array([1.0, bad]), weights=np.ones(2)),
    "weights": lambda bad: estimates.weighted_mean(np.ones(2), np.array([1.0, bad])),
    "macro": lambda bad: estimates.macro_mean(np.array([1.0, bad, 0.0]), np.array(["a", "a", "b"])),
    "combined": lambda bad: estimates.combined([PART, PART._replace(score=bad)], [0.5, 0.5]),
    "combined weights": lambda bad: estimates.combined([PART, PART], [0.5, bad]),
    "first": lambda bad: paired.paired_difference(np.array([1.0, bad]), np.zeros(2), RNG),
    "second": lambda bad: paired.paired_difference(np.zeros(2), np.array([1.0, bad]), RNG),
    "paired weights": lambda bad: paired.paired_difference(
        np.zeros(2), np.ones(2), RNG, weights=np.array([1.0, bad])
    ),
    "bootstrap": lambda bad: paired.bootstrap_interval(np.array([1.0, bad]), RNG),
    "sign flips": lambda bad: paired.sign_flip_test(np.array([1.0, bad]), RNG),
    "holm": lambda bad: paired.holm([0.01, bad]),
    "detectable": lambda bad: paired.minimum_detectable(10, bad),
}


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("name", TAKES_NUMBERS)
def test_what_is_no_number_is_an_error_and_no_interval(name: str, bad: float) -> None:
    with pytest.raises(ValueError, match="must be finite numbers, and that at place"):
        TAKES_NUMBERS[name](bad)


def test_weights_that_weigh_nothing_are_an_error() -> None:
    with pytest.raises(ValueError, match="positive"):
        estimates.weighted_mean(np.ones(2), np.array([1.0, 0.0]))
