"""Item rows from lm-eval's samples: gold, normalisations, ties, filters, and other kinds of tasks."""

from __future__ import annotations

import hashlib
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from archbench.tasks.work.item_rows import item_rows, scores


def by_spaces(context: str, continuation: str) -> tuple[int, int]:
    return len(context.split()), len(continuation.split())


def choice(lls: list[float], conts: list[str], target: Any = 0, **more: Any) -> dict[str, Any]:
    doc = {"id": "q1", "subject": "anatomy", "category": "STEM"}
    return {
        "doc_id": 4,
        "doc": doc,
        "target": target,
        "arguments": [("the prompt", cont) for cont in conts],
        "resps": [[(ll, False)] for ll in lls],
        "filtered_resps": [(ll, False) for ll in lls],
        "filter": "none",
        "metrics": ["acc"],
        "acc": float(int(np.argmax(lls)) == target),
    } | more


def task(kind: str = "multiple_choice", **more: Any) -> Any:
    return SimpleNamespace(OUTPUT_TYPE=kind, **more)


def one(sample: dict[str, Any], of: Any = None, prefix: str | None = None) -> dict[str, Any]:
    (row,) = item_rows([sample], of or task(), prefix=prefix, token_counts=by_spaces)
    return row


def test_a_multiple_choice_item() -> None:
    row = one(choice([-3.0, -2.0, -4.0], [" a", " b c", " d e f"], target=2))
    assert row == {
        "item": "q1",
        "doc": 4,
        "subject": "anatomy",
        "category": "STEM",
        "prompt_hash": hashlib.sha256(b"the prompt").hexdigest(),
        "target": "2",
        "choices": [" a", " b c", " d e f"],
        "loglikelihoods": [-3.0, -2.0, -4.0],
        "choice_tokens": [1, 2, 3],
        "choice_chars": [2, 4, 6],
        "prompt_tokens": 2,
        "prediction": "1",
        "margin": 1.0,
        "acc": 0.0,
        "acc_token": 0.0,
        "excluded": False,
    }


def test_per_token_normalisation_is_not_the_plain_one() -> None:
    row = one(choice([-3.0, -4.0], [" a", " b c"], target=1))
    assert (row["prediction"], row["acc"], row["acc_token"]) == ("0", 0.0, 1.0)


def test_ties_go_to_the_first() -> None:
    row = one(choice([-2.0, -2.0, -2.0], [" a", " b", " c"], target=0))
    assert (row["prediction"], row["margin"], row["acc_token"]) == ("0", 0.0, 1.0)
    row = one(choice([-2.0, -2.0], [" a", " b"], target=1))
    assert (row["prediction"], row["acc_token"]) == ("0", 0.0)


@given(st.lists(st.floats(-50, 0), min_size=2, max_size=6), st.data())
def test_predictions_and_margins_are_those_of_numpy(lls: list[float], data: st.DataObject) -> None:
    tokens = [data.draw(st.integers(1, 5)) for _ in lls]
    conts = [" x" * count for count in tokens]
    row = one(choice(lls, conts, target=0))
    assert row["prediction"] == str(int(np.argmax(lls)))
    assert row["acc_token"] == float(int(np.argmax(np.array(lls) / np.array(tokens))) == 0)
    assert row["margin"] == pytest.approx(np.sort(lls)[-1] - np.sort(lls)[-2])


def test_token_columns_are_null_where_lengths_are_unknown() -> None:
    (row,) = item_rows([choice([-1.0, -2.0], [" a", " b"])], task(), token_counts=lambda *_: None)
    assert row["choice_tokens"] is None
    assert row["prompt_tokens"] is None
    assert row["acc_token"] is None
    assert scores([row]) == ["acc", "acc_token"]


@pytest.mark.parametrize(("target", "gold"), [(1, "1"), ("second", "1"), ([0, 1], "0,1"), ("absent", "")])
def test_gold_answers_in_all_the_ways_lm_eval_has(target: Any, gold: str) -> None:
    of = task(doc_to_choice=lambda doc: ["first", "second"])
    row = one(choice([-2.0, -1.0], [" first", " second"], target=target), of)
    assert row["target"] == gold
    assert row["acc_token"] == float("1" in gold)


def test_endings_scored_after_several_beginnings() -> None:
    of = task(multiple_input=1, doc_to_text=lambda doc: 1)
    sample = choice([-2.0, -1.0], [" end", " end"], target="end")
    sample["arguments"] = [("one beginning", " end"), ("another", " end")]
    row = one(sample, of)
    assert row["target"] == "1"
    assert row["prompt_hash"] == hashlib.sha256(b"one beginning\0another").hexdigest()


def test_unconditional_requests_are_no_choices() -> None:
    sample = choice([-2.0, -1.0], [" a", " b"], metrics=["acc", "acc_mutual_info"], acc_mutual_info=1.0)
    sample["arguments"] += [("", " a"), ("", " b")]
    sample["resps"] += [[(-9.0, False)], [(-8.0, False)]]
    row = one(sample)
    assert row["loglikelihoods"] == [-2.0, -1.0]
    assert row["acc_mutual_info"] == 1.0


def test_items_of_stock_tasks_are_told_apart_by_task() -> None:
    assert one(choice([-1.0, -2.0], [" a", " b"]), prefix="arc_easy")["item"] == "arc_easy:4"


def test_documents_without_a_subject_get_the_tasks() -> None:
    sample = choice([-1.0, -2.0], [" a", " b"], doc={"question": "?"})
    (row,) = item_rows([sample], task(), token_counts=by_spaces, subject="arc_easy")
    assert (row["item"], row["subject"], row.get("category")) == ("4", "arc_easy", None)


def test_a_generated_answer_with_two_filters() -> None:
    sample = {
        "doc_id": 0,
        "doc": {"question": "?"},
        "target": "42",
        "arguments": [("prompt", {"until": ["."]})],
        "resps": [["it is 42"]],
        "filtered_resps": ["42"],
        "filter": "strict",
        "metrics": ["exact_match"],
        "exact_match": np.float64(1.0),
    }
    loose = sample | {"filter": "loose", "exact_match": 0, "filtered_resps": ["it"]}
    (row,) = item_rows([sample, loose], task("generate_until"), token_counts=by_spaces)
    assert (row["item"], row["target"], row["prediction"]) == ("0", "42", "42")
    assert (row["exact_match"], row["exact_match,loose"]) == (1.0, 0.0)
    assert row["answer_form"] == "answer"


@pytest.mark.parametrize(
    ("response", "found", "form"),
    [
        ("", "", "empty"),
        ("\n ", "[invalid]", "empty"),
        ("who knows", "[invalid]", "other"),
        ("42", "42", "answer"),
    ],
)
def test_the_form_of_a_generated_answer(response: str, found: str, form: str) -> None:
    sample = {
        "doc_id": 0,
        "doc": {},
        "target": "42",
        "arguments": [("prompt", {})],
        "resps": [[response]],
        "filtered_resps": [found],
        "filter": "strict",
        "metrics": ["exact_match"],
        "exact_match": 0.0,
    }
    (row,) = item_rows([sample], task("generate_until"), token_counts=by_spaces)
    assert row["answer_form"] == form


def test_a_text_that_is_scored_as_a_whole() -> None:
    sample = {
        "doc_id": 0,
        "doc": {"page": "two words"},
        "target": "two words",
        "arguments": [("two words",)],
        "resps": [[-7.5]],
        "filtered_resps": [-7.5],
        "filter": "none",
        "metrics": ["word_perplexity"],
        "word_perplexity": (-7.5, 2),
    }
    row = one(sample, task("loglikelihood_rolling"))
    assert row["loglikelihoods"] == [-7.5]
    assert row["choice_tokens"] == [2]
    assert "word_perplexity" not in row
    assert scores([row]) == []


def test_only_values_from_nothing_to_one_are_scores() -> None:
    rows = [
        {"item": "a", "acc": 1.0, "bleu": 0.5, "mixed": None},
        {"item": "b", "acc": 0.0, "bleu": 31.0, "mixed": 1.0},
    ]
    assert scores(rows) == ["acc", "mixed"]
