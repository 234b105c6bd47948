"""Phonebooks: how near an answer is to the number, and where a wrong one came from."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archbench.tasks.phonebook import scoring


@pytest.mark.parametrize(
    ("response", "scores"),
    [
        (" 212-345-6789", (1, 1, 1, 1, 1, 1)),
        (" 212-345-6789\nWhat is", (1, 1, 1, 1, 1, 1)),
        ("\n212-345-6789", (1, 1, 1, 1, 1, 1)),
        ("\n\nRuth Beckway: 212-345-6789", (0, 1, 1, 12 / 26, 1, 1)),
        (" 2123456789", (0, 1, 1, 1 - 2 / 12, 1, 1)),
        (" The number is 212-345-6789.", (0, 1, 1, 1 - 15 / 27, 1, 1)),
        (" 212-345-6780", (0, 0.9, 0.9, 1 - 1 / 12, 0, 0)),
        (" 213-345-6789", (0, 0.9, 0.2, 1 - 1 / 12, 0, 0)),
        ("313-345-6789 or 212-345-6789", (0, 0.8, 0, 12 / 28, 1, 0)),
        ("3133456789, no: 212-345-6789", (0, 1, 1, 12 / 28, 1, 0)),
        ("313-345-6789\n212-345-6789", (0, 0.8, 0, 10 / 12, 0, 0)),
        (" 212-34", (0, 0.5, 0.5, 0.5, 0, 0)),
        ("", (0, 0, 0, 0, 0, 0)),
        (" ٢١٢", (0, 0, 0, 0, 0, 0)),
    ],
)
def test_scores(response: str, scores: tuple[float, ...]) -> None:
    found = scoring.process_results({"target": "212-345-6789"}, [response])
    names = ["exact_match", "digit_accuracy", "leading_digits", "similarity", "in_line", "first_in_line"]
    assert list(found) == names
    assert tuple(found.values()) == pytest.approx(scores)


@given(st.text("0123 -\n", max_size=40), st.sampled_from(["01", "10-23", "212-345-6789"]))
def test_what_is_first_in_the_line_is_in_it(response: str, target: str) -> None:
    found = scoring.process_results({"target": target}, [response])
    assert found["exact_match"] <= found["first_in_line"] <= found["in_line"]
    doc = {"target": target, "numbers": [target], "place": 0, "examples": [], "book": 0, "book_entries": 1}
    details = scoring.details(doc | {"depth": 0}, response)
    assert (details["answer_form"] == "empty") == (details["source"] == "empty") == (not response.strip())
    assert (details["answer_form"] == "other") == (details["source"] == "no number")
    assert found["in_line"] <= (details["answer_form"] == "answer")


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
        ("", "empty"),
        ("I do not know.", "no number"),
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


def test_plain_numbers_are_separated_by_what_stands_between_them() -> None:
    doc = {"numbers": ["47", "53", "61", "80"], "place": 0, "examples": [1]}
    given = {"47": "right", "5 3": "no number", "4 7 53": "neighbour", "61, 80": "book", "478": "no number"}
    assert {answer: scoring.source(answer, doc) for answer in given} == given
