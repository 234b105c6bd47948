"""Phonebooks: how near an answer is to the number, and where a wrong one came from."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archbench.tasks.phonebook import scoring


@pytest.mark.parametrize(
    ("response", "scores"),
    [
        (" 212-345-6789", (1, 1, 1, 1)),
        (" 212-345-6789\nWhat is", (1, 1, 1, 1)),
        ("\n212-345-6789", (0, 0, 0, 0)),
        (" 2123456789", (0, 1, 1, 1 - 2 / 12)),
        (" The number is 212-345-6789.", (0, 1, 1, 1 - 15 / 27)),
        (" 212-345-6780", (0, 0.9, 0.9, 1 - 1 / 12)),
        (" 213-345-6789", (0, 0.9, 0.2, 1 - 1 / 12)),
        (" 212-34", (0, 0.5, 0.5, 0.5)),
        ("", (0, 0, 0, 0)),
        (" ٢١٢", (0, 0, 0, 0)),
    ],
)
def test_scores(response: str, scores: tuple[float, ...]) -> None:
    found = scoring.process_results({"target": "212-345-6789"}, [response])
    assert list(found) == ["exact_match", "digit_accuracy", "leading_digits", "similarity"]
    assert tuple(found.values()) == pytest.approx(scores)


@given(st.text("01-", max_size=12), st.text("01-", max_size=12))
def test_edit_distance_is_a_distance(one: str, other: str) -> None:
    found = scoring.edit_distance(one, other)
    assert found == scoring.edit_distance(other, one)
    assert abs(len(one) - len(other)) <= found <= max(len(one), len(other))
    assert (found == 0) == (one == other)


@pytest.mark.parametrize(
    ("answer", "source"),
    [
        ("100-000-0004", "right"),
        ("It is 100-000-0004!", "right"),
        ("100-000-0003", "neighbour"),
        ("100-000-0005", "neighbour"),
        ("100-000-0001", "example"),
        ("100-000-0007", "book"),
        ("100-000-9999", "nowhere"),
        ("1100-000-0004", "no number"),
        ("100-000", "no number"),
        ("1000000004", "right"),
        ("(100) 000-0004", "right"),
        ("100 000 0003.", "neighbour"),
        ("No. 2: 100-000-0004", "right"),
        ("It is one of 10: (100) 000.0007", "book"),
        ("100-000-0004 100-000-0003", "right"),
        ("10000000041", "no number"),
    ],
)
def test_source_of_an_answer(answer: str, source: str) -> None:
    doc = {"numbers": [f"100-000-000{at}" for at in range(10)], "place": 4, "examples": [1, 5]}
    if answer.endswith("5"):
        doc["examples"] = [1, 8]
    assert scoring.source(answer, doc) == source
    assert source in scoring.SOURCES
    if source in ("right", "neighbour", "book"):
        assert sum(scoring.digits_right(answer, "100-000-0004")) == (10 if source == "right" else 9)


def test_plain_numbers_are_told_apart_by_what_stands_between_them() -> None:
    doc = {"numbers": ["47", "53", "61", "80"], "place": 0, "examples": [1]}
    given = {"47": "right", "5 3": "no number", "4 7 53": "neighbour", "61, 80": "book", "478": "no number"}
    assert {answer: scoring.source(answer, doc) for answer in given} == given
