"""Phonebooks: what is in them, what is queried, how long they are, and how answers are scored."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archbench.draw import Draw
from archbench.errors import RequestError
from archbench.tasks.lengths import TokenCounter, largest_fit, token_counter
from archbench.tasks.phonebook import pool, scoring
from archbench.tasks.phonebook.entry import PhonebookEntry
from archbench.tasks.phonebook.items import (
    ANSWER_TOKENS,
    Layout,
    items_by_entries,
    items_by_length,
    shortest_length,
)
from archbench.tasks.phonebook.prompts import FORMATS, copy, reversed_, standard

LINE = re.compile(r"(?m)^([A-Z][a-z]+ [A-Z][a-z]+): (\d{3}-\d{3}-\d{4})$")
BOOK = [("Ada Ashford", "212-345-6789"), ("Ben Brook", "313-345-6789"), ("Cy Combe", "414-345-6789")]
TEXT = "\n".join(f"{name}: {number}" for name, number in BOOK)


def digest(items: Iterator[dict[str, Any]]) -> str:
    return hashlib.sha256(
        json.dumps([[item[key] for key in ("id", "prompt", "target")] for item in items]).encode()
    ).hexdigest()[:16]


def book_of(item: dict[str, Any]) -> list[tuple[str, str]]:
    """The book as a reader finds it: the longest run of entries."""
    runs = re.findall(r"(?m)(?:^[A-Z][a-z]+ [A-Z][a-z]+: \d{3}-\d{3}-\d{4}$\n?)+", item["prompt"])
    return LINE.findall(max(runs, key=len))


def queried_name(item: dict[str, Any], form: str) -> str:
    if form == "copy":
        return str(item["prompt"].rsplit("\n", 1)[1][:-1])
    return str(re.findall(r"What is the phone number for (.*)\?", item["prompt"])[-1])


def holds(item: dict[str, Any], form: str) -> None:
    """What must be true of every item."""
    book = book_of(item)
    assert len(book) == item["book_entries"]
    assert len({name for name, _ in book}) == len({number for _, number in book}) == len(book)
    assert [number for _, number in book] == item["numbers"]
    assert book[item["place"]] == (queried_name(item, form), item["target"])
    # Once in the prompt and nowhere else, so that without the book it cannot be known.
    assert item["prompt"].count(item["target"]) == 1
    area, exchange, line = item["target"].split("-")
    assert 200 <= int(area) <= 999
    assert 200 <= int(exchange) <= 999
    assert 1000 <= int(line) <= 9999
    assert 0 <= item["depth"] <= 100
    assert len({item["place"], *item["examples"]}) == 3
    for at in item["examples"]:
        # In the book, and as an example; `reversed` shows it as an entry and as an answer.
        assert item["prompt"].count(book[at][1]) == (3 if form == "reversed" else 2)


def test_prompts_are_what_the_documents_show() -> None:
    assert standard(TEXT, BOOK[:2], "Cy Combe") == (
        "Ada Ashford: 212-345-6789\nBen Brook: 313-345-6789\nCy Combe: 414-345-6789\n\n"
        "What is the phone number for Ada Ashford?\nAnswer: 212-345-6789\n\n"
        "What is the phone number for Ben Brook?\nAnswer: 313-345-6789\n\n"
        "What is the phone number for Cy Combe?\nAnswer:"
    )
    assert copy(TEXT, BOOK[:2], "Cy Combe") == (
        f"{TEXT}\n\nAda Ashford: 212-345-6789\nBen Brook: 313-345-6789\n\nCy Combe:"
    )
    text = reversed_(TEXT, BOOK[:2], "Cy Combe")
    assert text.index("Cy Combe") < text.index(TEXT) < text.rindex("Cy Combe")
    assert text.count("Cy Combe") == 4
    shots = standard(TEXT, BOOK[:2], "Cy Combe").removeprefix(f"{TEXT}\n\n")
    assert text.endswith(f"memorise the phone number for Cy Combe.\n\n{shots}")
    bare = reversed_(TEXT, BOOK[:2], "Cy Combe", worked=False)
    assert bare.endswith(
        "memorise the phone number for Cy Combe.\n\nWhat is the phone number for Cy Combe?\nAnswer:"
    )
    assert text.startswith(bare[: bare.rindex("What is")])


@pytest.mark.parametrize("form", FORMATS)
def test_items_hold(form: Any) -> None:
    for entries in (7, 20, 200):
        items = list(items_by_entries(3, form, entries, 8, Layout()))
        assert len({item["id"] for item in items}) == len(items) == 40
        for item in items:
            holds(item, form)
            assert item["book_entries"] == entries


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMATS)
def test_ten_thousand_items_hold(form: Any) -> None:
    for entries in (7, 30, 100, 333):
        for item in items_by_entries(11, form, entries, 500, Layout()):
            holds(item, form)


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMATS)
def test_ten_thousand_items_fit(form: Any, counter: TokenCounter) -> None:
    made = 0
    for item in items_by_length(11, form, 1024, 2000, Layout(), counter):
        holds(item, form)
        assert 0.9 * 1024 < counter(item["prompt"]) + ANSWER_TOKENS <= 1024
        made += 1
    assert made == 10_000


def test_names_are_plain_and_many() -> None:
    assert len(set(pool.FIRST)) == len(pool.FIRST)
    assert len(set(pool.LAST)) == len(pool.LAST)
    assert pool.POOL > 500_000
    assert all(re.fullmatch("[A-Z][a-z]+", name) for name in (*pool.FIRST, *pool.LAST))


def test_a_book_has_an_end() -> None:
    with pytest.raises(RequestError, match=f"at most {pool.LARGEST:,} entries"):
        next(items_by_entries(0, "standard", pool.LARGEST + 1, 1, Layout()))
    with pytest.raises(RequestError, match="at least 7 entries"):
        next(items_by_entries(0, "standard", 6, 1, Layout()))


def test_names_and_digits_of_ones_own(tmp_path: Path) -> None:
    file = tmp_path / "names.txt"
    file.write_text("\ufeffAda\nBen\n\nCy\nDora\nEli\nFay\nGus\nHal\n", encoding="utf-8")
    entry = PhonebookEntry(entries=[8], books=30, queries=2, data=str(file), digits=3)
    entry.check()
    for form in FORMATS:
        for item in items_by_entries(0, form, 8, 30, entry._layout):
            book = re.findall(r"(?m)^([A-Z][a-z]+): (\d{3})$", item["prompt"])
            assert {name for name, _ in book} - {"Answer"} == {
                "Ada",
                "Ben",
                "Cy",
                "Dora",
                "Eli",
                "Fay",
                "Gus",
                "Hal",
            }
            assert len(set(item["numbers"])) == 8
            assert item["numbers"][item["place"]] == item["target"] == dict(book)[item["name"]]
            right = scoring.process_results(item, [f" {item['target']}\n"])
            assert right == dict.fromkeys(right, 1.0)
            wrong = item["numbers"][item["examples"][0]]
            assert scoring.details(item, f" {wrong}")["source"] in ("example", "neighbour")
            assert scoring.details(item, f" {item['target']}7")["source"] == "no number"


def test_other_names_are_another_entry(tmp_path: Path) -> None:
    file = tmp_path / "names.txt"
    digests = set()
    for names_, digits in (("A B C D E F G", 3), ("A B C D E F H", 3), ("A B C D E F G", 4)):
        file.write_text("\n".join(names_.split()), encoding="utf-8")
        digests.add(PhonebookEntry(entries=[7], data=str(file), digits=digits).digest())
    assert len(digests) == 3


@pytest.mark.parametrize(
    ("content", "message"),
    [("", "no name in it"), ("Ada\nBen\nAda\n", "'Ada' is there more than once"), ("A: B\n", "a colon")],
)
def test_names_that_cannot_be_used_are_reported(tmp_path: Path, content: str, message: str) -> None:
    file = tmp_path / "names.txt"
    file.write_text(content, encoding="utf-8")
    with pytest.raises(RequestError, match=message):
        PhonebookEntry(entries=[7], data=str(file)).check()


def test_few_names_make_small_books(tmp_path: Path) -> None:
    file = tmp_path / "names.txt"
    file.write_text("\n".join("ABCDEFGH"), encoding="utf-8")
    with pytest.raises(RequestError, match=r"names\.txt: there are 8 names .*`data`.* a book of 9 entries"):
        PhonebookEntry(entries=[9], data=str(file)).check()
    with pytest.raises(RequestError, match="at most 22 entries"):
        PhonebookEntry(entries=[30], digits=2).check()


def test_names_too_few_for_a_length_are_reported_with_their_file(
    tmp_path: Path, tokenizer_folder: Callable[[str], str]
) -> None:
    file, measure = tmp_path / "names.txt", tokenizer_folder("bpe")
    file.write_text("\n".join("ABC"), encoding="utf-8")
    with pytest.raises(RequestError, match=r"names\.txt: there are 3 names .* smallest book .* 7 entries"):
        PhonebookEntry(lengths=[512], data=str(file), tokenizer=measure).check()
    file.write_text("\n".join("ABCDEFGH"), encoding="utf-8")
    with pytest.raises(
        RequestError, match=r"names\.txt: there are 8 names .* 512 tokens, more than 8 entries"
    ):
        PhonebookEntry(lengths=[512], data=str(file), tokenizer=measure).check()


def test_formats_ask_the_same_of_the_same_books() -> None:
    one, other = (list(items_by_entries(0, form, 30, 3, Layout())) for form in ("standard", "reversed"))
    keys = ("id", "target", "numbers", "place", "depth", "examples")
    assert [[item[key] for key in keys] for item in one] == [[item[key] for key in keys] for item in other]


def test_questions_about_a_book_share_their_beginning() -> None:
    first, second = list(items_by_entries(0, "standard", 30, 1, Layout(queries=2)))
    shared = first["prompt"].rindex("What is")
    assert first["prompt"][:shared] == second["prompt"][:shared]


def test_depths_are_spread_or_as_given() -> None:
    for item in items_by_entries(0, "copy", 100, 20, Layout(queries=10)):
        query = int(item["id"].rpartition("-")[2])
        assert abs(item["place"] - (10 * query + 4.5)) <= 6
    depths = [item["depth"] for item in items_by_entries(0, "copy", 101, 2, Layout(depths=(0, 50, 100)))]
    assert depths == [0, 50, 100] * 2


def test_bytes_are_pinned() -> None:
    """The same on every machine and in every order; a change here is a new VERSION."""
    assert digest(items_by_entries(0, "standard", 20, 2, Layout())) == "f7bbef6d7674bbd6"
    bare = Layout(depths=(0, 100), worked=False)
    assert digest(items_by_entries(7, "reversed", 50, 2, bare)) == "4527fc5f0b3dd759"
    assert digest(items_by_entries(7, "reversed", 50, 2, Layout(depths=(0, 100)))) == "e495190f2aa56039"
    both = list(items_by_entries(0, "standard", 20, 2, Layout()))
    assert list(items_by_entries(0, "standard", 20, 1, Layout())) == both[:5]


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("length", [512, 2048, 4096])
def test_lengths_are_met(form: Any, length: int, counter: TokenCounter) -> None:
    for item in items_by_length(0, form, length, 2, Layout(queries=3), counter):
        holds(item, form)
        assert 0.9 * length < counter(item["prompt"]) + ANSWER_TOKENS <= length


@pytest.mark.parametrize("form", FORMATS)
def test_a_length_that_is_named_is_enough_for_every_book(form: Any, counter: TokenCounter) -> None:
    layout = Layout(queries=3)
    with pytest.raises(RequestError, match=r"Use [0-9]+ tokens") as error:
        list(items_by_length(0, form, 90, 40, layout, counter))
    enough = int(re.findall(r"Use ([0-9]+) tokens", str(error.value))[0])
    assert len(list(items_by_length(0, form, enough, 40, layout, counter))) == 120


def test_lengths_are_met_by_bytes(byte_counter: TokenCounter) -> None:
    for item in items_by_length(0, "standard", 1024, 2, Layout(queries=2), byte_counter):
        holds(item, "standard")
        assert 0.9 * 1024 < len(item["prompt"]) + ANSWER_TOKENS <= 1024
    with pytest.raises(RequestError, match="256 tokens is too short"):
        next(items_by_length(0, "reversed", 256, 1, Layout(), byte_counter))


def test_a_book_of_128k_tokens_takes_seconds(counter: TokenCounter) -> None:
    item = next(items_by_length(0, "standard", 131072, 1, Layout(queries=2), counter))
    assert 0.9 * 131072 < counter(item["prompt"]) + ANSWER_TOKENS <= 131072


@given(st.integers(1, 40), st.integers(0, 5000), st.integers(1, 300), st.integers(1, 400), st.integers(0, 20))
def test_fitting_finds_the_largest_in_few_steps(
    unit: int, overhead: int, high: int, guess: int, wobble: int
) -> None:
    tried: list[int] = []

    def length(size: int) -> int:
        tried.append(size)
        return overhead + unit * size + (wobble if size > high // 2 else 0)

    found = largest_fit(length, target=3000, low=1, high=high, guess=guess)
    fits = [size for size in range(1, high + 1) if length(size) <= 3000]
    assert found == (max(fits) if fits else None)
    assert len(tried) - high <= 2 * high.bit_length() + 3


def test_a_random_model_is_at_chance() -> None:
    """One that names any entry but the examples is right once in as many as are left."""
    draw, right, guesses = Draw("guess"), 0, 0
    for item in items_by_entries(5, "standard", 10, 400, Layout()):
        left = [one for at, one in enumerate(item["numbers"]) if at not in item["examples"]]
        right += scoring.process_results(item, [draw.pick(left)])["exact_match"] == 1
        guesses += 1
    chance = PhonebookEntry(entries=[10]).variants()[0].chance
    assert chance is not None
    assert abs(right / guesses - chance) < 4 * (chance / guesses) ** 0.5


def test_entry_unfolds() -> None:
    entry = PhonebookEntry(entries=[20, 50], books=2)
    assert [variant.name for variant in entry.variants()] == [
        "standard-20entries",
        "standard-50entries",
        "reversed-20entries",
        "reversed-50entries",
    ]
    variant = entry.variants()[1]
    assert variant.labels == {"format": "standard", "entries": 50}
    assert variant.chance == 1 / 48, "two of the entries are the examples, which are never queried"
    assert PhonebookEntry(lengths=[512]).variants()[0].name == "standard-512tokens"
    entry.check()


def test_entry_digest_follows_what_changes_answers(tokenizer_folder: Callable[[str], str]) -> None:
    base = PhonebookEntry(entries=[20])
    assert base.digest() == PhonebookEntry(entries=[30], formats=["copy"], seed=0, tokenizer="x").digest()
    tokens = [PhonebookEntry(lengths=[512], tokenizer=tokenizer_folder(name)) for name in ("byte", "bpe")]
    others = [
        PhonebookEntry(entries=[20], seed=1),
        PhonebookEntry(entries=[20], books=3),
        PhonebookEntry(entries=[20], queries=3),
        PhonebookEntry(entries=[20], depths=[0]),
        PhonebookEntry(entries=[20], limit=3),
        *tokens,
    ]
    assert len({entry.digest() for entry in (base, *others)}) == 8


def test_entry_is_checked(tokenizer_folder: Callable[[str], str]) -> None:
    with pytest.raises(ValueError, match="entries or in lengths"):
        PhonebookEntry()
    with pytest.raises(ValueError, match="listed more than once"):
        PhonebookEntry(entries=[20, 20])
    with pytest.raises(RequestError, match="need a tokenizer"):
        PhonebookEntry(lengths=[512]).check()
    with pytest.raises(RequestError, match=r"'/nowhere'.*cannot be loaded"):
        PhonebookEntry(lengths=[512], tokenizer="/nowhere").check()
    with pytest.raises(RequestError, match="128 tokens is too short"):
        PhonebookEntry(lengths=[128, 512], tokenizer=tokenizer_folder("byte")).check()
    PhonebookEntry(lengths=[512, 1024], tokenizer=tokenizer_folder("bpe"), queries=2).check()
    # The first book of a length may fit where another does not.
    counter, layout = token_counter(tokenizer_folder("bpe")), Layout(queries=2)
    short = shortest_length(0, "standard", 90, 1, layout, counter)
    with pytest.raises(RequestError, match=rf"{short} tokens is too short"):
        PhonebookEntry(
            formats=["standard"], lengths=[short], books=40, tokenizer=tokenizer_folder("bpe"), queries=2
        ).check()
