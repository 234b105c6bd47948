"""Suites whose `engine.max_length` leaves no room for what they ask are refused with the plan."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from archbench.errors import RequestError
from archbench.results.store import Store
from archbench.runner.plan import Plan, make_plan
from archbench.suite import load_suite


def plan(here: Path, shelf: Path, task: dict[str, Any], **engine: Any) -> Plan:
    suite = {
        "name": "x",
        "members": {"m": str(shelf / "llama")},
        "tasks": {"t": task},
        "engine": engine,
    }
    return make_plan(load_suite(suite), Store(here / "out"))


@pytest.fixture
def text(here: Path) -> str:
    (here / "text.txt").write_text("some words " * 400)
    return "text.txt"


@pytest.mark.parametrize(
    ("key", "settings", "longest"),
    [
        ("lengths", {"kind": "phonebook", "lengths": [900, 1200], "books": 1}, 1200),
        ("lengths", {"kind": "ruler", "tasks": ["niah_single_1"], "lengths": [600, 1000]}, 1000),
        ("contexts", {"kind": "perplexity", "contexts": [0, 100], "target": 20, "windows": 2}, 119),
        ("lengths", {"kind": "perplexity", "lengths": [100, 200], "windows": 2}, 199),
    ],
)
def test_lengths_that_are_longer_than_any_input_may_be(
    key: str, settings: dict[str, Any], longest: int, text: str, here: Path, shelf: Path
) -> None:
    task = settings
    if task["kind"] == "perplexity":
        task = {"contexts": [], "data": text} | task
    assert plan(here, shelf, task, max_length=longest).missing
    told = rf"'tasks\.t\.{key}' makes inputs of {longest:,} tokens, and engine\.max_length is {longest - 1:,}"
    with pytest.raises(RequestError, match=told):
        plan(here, shelf, task, max_length=longest - 1)
    assert plan(here, shelf, task, max_length=longest - 1, too_long="exclude").missing
    other = task | {"tokenizer": str(shelf / "mamba")}
    assert plan(here, shelf, other, max_length=longest - 1).missing, "in its tokens they may be fewer"


@pytest.mark.parametrize("task", ["mmlu", "phonebook"])
def test_prompts_of_which_none_would_fit(task: str, here: Path, shelf: Path) -> None:
    mmlu = {"kind": "mmlu", "data": str(shelf / "mmlu"), "shots": [0, 2]}
    entry = mmlu if task == "mmlu" else {"kind": "phonebook", "entries": [8, 100]}
    told = r"'engine\.max_length' is 2, but prompts of the task 't' have \d+ tokens .* in every variant"
    with pytest.raises(RequestError, match=told):
        plan(here, shelf, entry, max_length=2)
    # Those that fit are asked, and the others fail their cells.
    assert plan(here, shelf, entry, max_length=600).missing
    assert plan(here, shelf, entry, max_length=2, too_long="exclude").missing
