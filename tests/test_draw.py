"""Seeded draws: promised sequences, uniform samples."""

from __future__ import annotations

from collections import Counter

import pytest

from archbench.draw import Draw


def test_draws_are_pinned() -> None:
    draw = Draw(0, "phonebook", 64, 3)
    assert [draw.below(1000) for _ in range(4)] == [281, 793, 65, 309]
    assert Draw(0, "phonebook", 64, 3).sample("abcdef", 6) == ["b", "e", "c", "d", "a", "f"]


def test_keys_do_not_run_into_each_other() -> None:
    assert Draw(1, "a").uniform() != Draw(1, "a", "").uniform()


def test_samples_are_uniform_and_without_repeats() -> None:
    counts: Counter[str] = Counter()
    for index in range(6000):
        drawn = Draw(0, index).sample("abcd", 2)
        assert len(set(drawn)) == 2
        counts["".join(drawn)] += 1
    assert len(counts) == 12
    assert all(abs(n - 500) < 110 for n in counts.values())


def test_too_large_samples_are_refused() -> None:
    with pytest.raises(ValueError, match="cannot draw 3 of 2"):
        Draw(0).sample("ab", 3)
