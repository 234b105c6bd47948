"""The phonebook through lm-eval: models whose scores are known, and the same score as `archbench run`."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from lm_eval import simple_evaluate
from lm_eval.tasks import TaskManager

from archbench.paths import shared
from archbench.tasks.phonebook.entry import PhonebookEntry
from archbench.tasks.phonebook.prompts import FORMATS
from archbench.tasks.phonebook.scoring import SOURCES
from tests.doubles import Double
from tests.evaluation import evaluate_variant

ENTRY = re.compile(r"(?m)^(.+): (\d{3}-\d{3}-\d{4})$")


class Reader(Double):
    """Answers from the prompt alone."""

    def __init__(self, answer: Callable[[str], str], *, skips: bool = True) -> None:
        super().__init__()
        self._answer, self._skips = answer, skips

    def generate_until(self, requests: list[Any], disable_tqdm: bool = False) -> list[str]:
        for request in requests:
            skipping = {"until": ["\n"], "skip_white_space": True} if self._skips else {"until": []}
            assert request.args[1] == {"max_gen_toks": 24, "do_sample": False} | skipping
        return [self._answer(request.args[0]) for request in requests]


def look_up(prompt: str) -> str:
    names = re.findall(r"phone number for (.+)\?", prompt)
    name = names[-1] if prompt.endswith("Answer:") else prompt.rsplit("\n", 1)[1][:-1]
    return f" {dict(ENTRY.findall(prompt))[name]}"


def first_entry(prompt: str) -> str:
    return f" {ENTRY.findall(prompt)[0][1]}"


@pytest.mark.parametrize("form", FORMATS)
def test_one_who_reads_the_book_is_always_right(form: Any) -> None:
    (variant,) = PhonebookEntry(formats=[form], entries=[25], books=3).variants()
    found = evaluate_variant(Reader(look_up), variant, limit=None, seed=0)
    assert found.metrics == (
        "digit_accuracy",
        "exact_match",
        "first_in_line",
        "in_line",
        "leading_digits",
        "similarity",
    )
    assert len(found.rows) == 15
    for row in found.rows:
        assert [row[name] for name in found.metrics] == [1.0] * 6
        assert (row["source"], row["digits"], row["edits"], row["leading"]) == ("right", "1" * 10, 0, 10)
        assert row["prompt_tokens"] is None
        assert isinstance(row["depth"], int)


def test_copying_the_first_entry_is_right_where_it_is_queried() -> None:
    (variant,) = PhonebookEntry(formats=["copy"], entries=[21], depths=[0, 5, 50, 100], books=10).variants()
    found = evaluate_variant(Reader(first_entry), variant, limit=None, seed=0)
    assert [row["exact_match"] for row in found.rows] == [1.0, 0.0, 0.0, 0.0] * 10
    assert [row["source"] for row in found.rows] == ["right", "neighbour", "book", "book"] * 10
    assert {row["source"] for row in found.rows} <= set(SOURCES)


def test_plain_lm_eval_gives_the_same_score() -> None:
    entry = PhonebookEntry(formats=["standard"], entries=[12], books=6, seed=3)
    (variant,) = entry.variants()

    def last_entry(prompt: str) -> str:
        # Plain lm-eval is put no stop string: what follows the answer's line is cut off afterwards.
        return f"\n {ENTRY.findall(prompt)[-1][1]}\n\nWhat" if "1" in prompt[:40] else look_up(prompt)

    ours = evaluate_variant(Reader(last_entry), variant, limit=None, seed=0)
    manager = TaskManager(
        include_path=str(shared("tasks")),
        include_defaults=False,
        metadata={"entries": 12, "books": 6, "seed": 3},
    )
    theirs = simple_evaluate(
        Reader(last_entry, skips=False),
        tasks=["archbench_phonebook_standard"],
        task_manager=manager,
        bootstrap_iters=0,
    )["results"]["archbench_phonebook_standard"]
    for metric in ours.metrics:
        mean = sum(row[metric] for row in ours.rows) / len(ours.rows)
        assert theirs[f"{metric},none"] == pytest.approx(mean)
        assert 0 < mean < 1


def late(prompt: str) -> str:
    return f"\n{look_up(prompt)}\nmore"


@pytest.mark.parametrize("skip", [True, False])
def test_plain_lm_eval_skips_white_space_by_default(skip: bool) -> None:
    class Writer(Reader):
        """Stops at its stop strings, as lm-eval's models do."""

        def generate_until(self, requests: list[Any], disable_tqdm: bool = False) -> list[str]:
            assert [one.args[1]["until"] for one in requests] == [[] if skip else ["\n"]] * len(requests)
            assert not any("skip_white_space" in one.args[1] for one in requests)
            return [late(one.args[0]) if skip else "" for one in requests]

    metadata = {"entries": 12, "books": 2} | ({} if skip else {"skip_white_space": False})
    manager = TaskManager(include_path=str(shared("tasks")), include_defaults=False, metadata=metadata)
    task = "archbench_phonebook_standard"
    found = simple_evaluate(Writer(late), tasks=[task], task_manager=manager, bootstrap_iters=0)
    assert found["results"][task]["exact_match,none"] == float(skip)
    if skip:
        assert {one["filtered_resps"][0] for one in found["samples"][task]} == {
            one["target"] for one in found["samples"][task]
        }


@pytest.mark.parametrize("skip", [True, False])
def test_the_entry_says_whether_white_space_is_skipped(skip: bool) -> None:
    class Asked(Reader):
        def generate_until(self, requests: list[Any], disable_tqdm: bool = False) -> list[str]:
            assert {one.args[1].get("skip_white_space", False) for one in requests} == {skip}
            return [f" {self._answer(one.args[0])}" if skip else "" for one in requests]

    entry = PhonebookEntry(formats=["reversed"], entries=[12], books=2, skip_white_space=skip)
    (variant,) = entry.variants()
    rows = evaluate_variant(Asked(look_up), variant, limit=None, seed=0).rows
    assert {row["exact_match"] for row in rows} == {float(skip)}
    assert {row["answer_form"] for row in rows} == {"answer" if skip else "empty"}
    assert (
        entry.digest()
        != PhonebookEntry(formats=["reversed"], entries=[12], books=2, skip_white_space=not skip).digest()
    )


def test_worked_examples_are_left_out_on_request_of_the_reversed_format_alone() -> None:
    prompts: dict[bool, list[str]] = {True: [], False: []}
    for worked, kept in prompts.items():
        (variant,) = PhonebookEntry(
            formats=["reversed"], entries=[12], books=2, worked_examples=worked
        ).variants()

        def keep(prompt: str, kept: list[str] = kept) -> str:
            kept.append(prompt)
            return look_up(prompt)

        evaluate_variant(Reader(keep), variant, limit=None, seed=0)
    assert {one.count("\nAnswer:") for one in prompts[True]} == {3}
    assert {one.count("\nAnswer:") for one in prompts[False]} == {1}


@pytest.mark.slow
def test_archbench_run_and_report(tmp_path: Path) -> None:
    """End to end, sizes in tokens, on a model trained on shorter contexts than these."""
    from archbench.reporting import build_report
    from archbench.runner.execute import run_suite
    from archbench.suite import load_suite
    from tests.runner.tiny import LLAMA, save_model

    save_model(tmp_path / "one", LLAMA)
    save_model(tmp_path / "two", LLAMA, seed=1)
    family = {
        "name": "pair",
        "title": "Two",
        "budget": {"sequence_length": 128},
        "members": {name: {"path": str(tmp_path / name)} for name in ("one", "two")},
    }
    (tmp_path / "families").mkdir()
    (tmp_path / "families" / "pair.yaml").write_text(json.dumps(family), encoding="utf-8")
    suite = load_suite(
        {
            "name": "pb",
            "families": ["pair"],
            "allow_unmatched": True,
            "seed": 5,
            "tasks": {
                "tokens": {"kind": "phonebook", "lengths": [768, 896], "books": 1, "queries": 2},
                "entries": {
                    "kind": "phonebook",
                    "formats": ["copy"],
                    "entries": [4],
                    "books": 1,
                    "queries": 2,
                },
            },
        }
    )
    results = run_suite(suite, tmp_path / "run", families_dirs=[tmp_path / "families"], quiet=True)
    items = results.items()
    assert len(items) == 2 * (2 * 2 * 2 + 2)
    assert (items["prompt_tokens"] > 0).all()
    tokens = items[items["task"] == "tokens"]
    assert (tokens["prompt_tokens"] + 24 <= tokens["length"]).all()
    report = build_report(results, tmp_path / "report")
    names = {path.name for path in (*report.tables, *report.figures)}
    assert {"phonebook.md", "phonebook_answers.csv", "phonebook.svg", "phonebook_depths.png"} <= names
    assert "one‡" in (tmp_path / "report" / "tables" / "phonebook.md").read_text(encoding="utf-8")
    again = run_suite(suite, tmp_path / "run", families_dirs=[tmp_path / "families"], quiet=True)
    assert [header.finished for header in again.headers] == [header.finished for header in results.headers]


def test_members_with_copies_of_one_tokenizer_need_no_measure(tmp_path: Path) -> None:
    """Each next to its own config.json, from which the class of a tokenizer may come."""
    from archbench.results.store import Store
    from archbench.runner.plan import make_plan
    from archbench.suite import load_suite
    from tests.runner.tiny import LLAMA, save_model

    for name, width in (("one", 16), ("two", 24)):
        save_model(tmp_path / name, LLAMA | {"hidden_size": width})
    (tmp_path / "two" / "chat_template.jinja").write_text("{{ messages }}")
    members = {name: str(tmp_path / name) for name in ("one", "two")}
    tasks = {"pb": {"kind": "phonebook", "lengths": [1024], "queries": 1}}
    suite = load_suite({"name": "x", "members": members, "tasks": tasks})
    plan = make_plan(suite, Store(tmp_path / "run"))
    assert {cell.variant.work.metadata["tokenizer"] for cell in plan.cells} == {members["one"]}


def test_members_with_different_tokenizers_need_a_measure(
    tmp_path: Path, tokenizer_folder: Callable[[str], str]
) -> None:
    from archbench.errors import RequestError
    from archbench.results.store import Store
    from archbench.runner.plan import make_plan
    from archbench.suite import load_suite
    from tests.runner.tiny import LLAMA, save_model

    save_model(tmp_path / "one", LLAMA)
    members = {
        "one": str(tmp_path / "one"),
        "two": {"path": str(tmp_path / "one"), "tokenizer": tokenizer_folder("byte")},
    }
    tasks = {"pb": {"kind": "phonebook", "lengths": [1024], "queries": 1}}
    suite = load_suite({"name": "x", "members": members, "tasks": tasks})
    with pytest.raises(RequestError, match=r"2 different tokenizers \(one, two\).*tasks\.pb\.tokenizer"):
        make_plan(suite, Store(tmp_path / "run"))
    measured = load_suite(
        {
            "name": "x",
            "members": members,
            "tasks": {"pb": tasks["pb"] | {"tokenizer": tokenizer_folder("byte")}},
        }
    )
    plan = make_plan(measured, Store(tmp_path / "run"))
    assert {cell.variant.work.metadata["tokenizer"] for cell in plan.cells} == {tokenizer_folder("byte")}
