"""Phonebooks: how near an answer is to the number, and where a wrong one came from."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archbench.tasks.phonebook import scoring
from archbench.tasks.phonebook.entry import PhonebookEntry


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


DASHES = [chr(code) for code in (*range(0x2010, 0x2016), 0x2212, 0x2E3A, 0xFE58, 0xFE63, 0xFF0D, 0x2043)]
SPACES = ["\u00a0", "\u202f", "\u2007", "\u2009", "\u3000"]
UNSEEN = ["", "\u200b", "\u2060", "\ufeff", "\u00ad"]


@given(
    mark=st.sampled_from([*DASHES, *SPACES, "\u00b7", "\uff0e"]),
    unseen=st.sampled_from(UNSEEN),
    around=st.sampled_from(["", " ", "\u00a0", "\u202f"]),
    brackets=st.sampled_from(["", "()", "\uff08\uff09"]),
    wide=st.booleans(),
)
def test_a_number_is_one_with_whatever_marks_it_is_typeset(
    mark: str, unseen: str, around: str, brackets: str, wide: bool
) -> None:
    opened, closed = brackets or ("", "")
    between = f"{around}{unseen}{mark}{around}"
    number = f"{opened}212{closed}{around or ' ' if brackets else between}345{between}6789"
    if wide:
        number = "".join(chr(ord(one) + 0xFEE0) if one.isdigit() else one for one in number)
    book = {"numbers": ["212-345-6789", "212-345-6780"], "place": 0, "examples": []}
    doc = book | {"target": "212-345-6789", "book": 0, "book_entries": 2, "depth": 0}
    for answer in (number, f"It is {number}.", f"{number}, the baker"):
        found = scoring.process_results(doc, [answer])
        assert found["digit_accuracy"] == found["leading_digits"] == found["in_line"] == 1
        assert found["first_in_line"] == 1
        assert found["exact_match"] == 0
        told = scoring.details(doc, answer)
        assert (told["source"], told["answer_form"]) == ("right", "answer")


@pytest.mark.parametrize("answer", ["no idea", "21\u20142, 345 and 67", "\u00b2\u00b9\u00b2345\u20136789"])
def test_typeset_marks_make_no_number_of_what_is_none(answer: str) -> None:
    assert scoring.number_in(answer, "212-345-6789") == ""
    assert scoring.numbers_in(answer, "212-345-6789") == []


@given(text=st.text(max_size=20))
def test_plain_marks_stay_and_nothing_else_becomes_a_digit(text: str) -> None:
    plain = scoring.plainly(text)
    assert scoring.plainly(plain) == plain
    assert sum(map(str.isdecimal, plain)) == sum(map(str.isdecimal, text))
    assert text.isascii() <= (plain == text)


def test_the_version_of_the_scorer_is_in_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    before = PhonebookEntry(entries=[7]).digest()
    monkeypatch.setattr(scoring, "VERSION", scoring.VERSION + 1)
    assert PhonebookEntry(entries=[7]).digest() != before
