"""What errors say: numbers of things, and the nearest name."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from archbench.errors import amount


@given(st.integers(0, 10**9))
def test_only_one_is_singular(number: int) -> None:
    assert amount(number, "item").endswith(" item" if number == 1 else " items")
    assert amount(number, "entry", "entries").endswith(" entry" if number == 1 else " entries")
    assert int(amount(number, "item").split()[0].replace(",", "")) == number
