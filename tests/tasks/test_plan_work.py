"""Phonebooks and RULER in a plan: only as many items are made as show what a run would refuse."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archbench.errors import RequestError
from archbench.tasks.lengths import TokenCounter
from archbench.tasks.phonebook.items import Layout, check_by_length, items_by_length
from archbench.tasks.phonebook.pool import pool_of
from archbench.tasks.phonebook.prompts import FORMATS
from archbench.tasks.ruler.entry import RulerEntry
from archbench.tasks.ruler.subtasks import TASKS, Sources, Task, check, is_limited, items


class Meter(TokenCounter):
    """Counts a token for every so many bytes begun, and how much it was given to count."""

    def __init__(self, each: int = 4) -> None:
        self.each, self.texts, self.characters = each, 0, 0

    def __call__(self, text: str) -> int:
        self.texts += 1
        self.characters += len(text)
        return -(-len(text.encode()) // self.each)

    def pieces(self, texts: Sequence[str]) -> list[int]:
        return [-(-len(text.encode()) // self.each) for text in texts]


def refusal_of(run: Callable[[], Any]) -> str | None:
    try:
        run()
    except RequestError as error:
        return str(error)
    return None


def run_out(items: Iterator[Any]) -> None:
    for _ in items:
        pass


@settings(deadline=None, max_examples=80)
@given(
    length=st.integers(100, 700),
    books=st.integers(1, 5),
    queries=st.integers(1, 6),
    digits=st.sampled_from([2, 3, 10]),
    form=st.sampled_from(FORMATS),
    each=st.integers(1, 4),
    seed=st.integers(0, 9),
)
def test_the_plan_refuses_the_phonebooks_that_a_run_would(
    length: int, books: int, queries: int, digits: int, form: Any, each: int, seed: int
) -> None:
    layout = Layout(queries, None, pool_of(None, digits))
    planned = refusal_of(lambda: check_by_length(seed, form, length, books, layout, Meter(each)))
    assert planned == refusal_of(
        lambda: run_out(items_by_length(seed, form, length, books, layout, Meter(each)))
    )


@pytest.mark.parametrize("length", [1000, 10**5, 2 * 10**6])
def test_many_and_long_phonebooks_are_not_made(length: int) -> None:
    meter = Meter(1)
    check_by_length(0, "standard", length, 10_000, Layout(), meter)
    assert meter.texts < 10
    assert meter.characters < 10_000


def test_books_of_nearly_all_entries_are_measured_by_one() -> None:
    meter = Meter(1)
    layout = Layout(pool=replace(pool_of(), names=4000))
    check_by_length(0, "standard", 90_000, 10_000, layout, meter)
    assert meter.texts < 10


def test_a_length_that_all_of_many_books_fit_is_found_from_some(monkeypatch: pytest.MonkeyPatch) -> None:
    meter, layout = Meter(1), Layout()
    with pytest.raises(RequestError, match=r"Use (\d+) tokens") as error:
        check_by_length(0, "copy", 100, 500, layout, meter)
    assert meter.texts < 2500
    enough = int(str(error.value).split("Use ")[1].split()[0])
    check_by_length(0, "copy", enough, 500, layout, meter)


MADE_OF_DRAWS: list[Task] = [task for task in TASKS if not task.startswith("qa")]


@pytest.mark.parametrize("task", MADE_OF_DRAWS)
@pytest.mark.parametrize("digits", [2, 7])
@pytest.mark.parametrize("length", [60, 150, 400, 2000])
def test_the_plan_refuses_the_ruler_items_that_a_run_would(task: Task, digits: int, length: int) -> None:
    sources = Sources(digits=digits)
    planned = refusal_of(lambda: check(task, 0, length, 3, sources, Meter()))
    assert planned == refusal_of(lambda: run_out(islice(items(task, 0, length, 3, sources, Meter()), 1)))
    if digits == 2 and length == 2000:
        assert (planned is not None) is (task == "niah_multikey_2")


@pytest.mark.parametrize("task", [task for task in MADE_OF_DRAWS if task != "fwe"])
def test_no_long_text_is_counted_for_the_plan(task: Task) -> None:
    meter = Meter()
    refusal = refusal_of(lambda: check(task, 0, 2**22, 500, Sources(), meter))
    assert (refusal is not None) is (task in ("niah_multikey_2", "cwe"))
    assert is_limited(task) or refusal is None
    assert meter.characters < 200_000


def test_words_that_run_out_are_reported_with_the_plan_at_the_longest_length(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("archbench.tasks.ruler.entry.required_counter", lambda *_: Meter())
    entry = RulerEntry(tasks=["cwe"], lengths=[4096, 2**22], samples=1)
    with pytest.raises(RequestError, match="RULER's lists have at most"):
        entry.check()
