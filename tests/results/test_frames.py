"""Results as frames: planted truths come out, and what must not be compared is not."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from archbench.errors import RequestError
from archbench.results.comparisons import fewest_items
from archbench.results.frames import load_results
from archbench.results.store import Store
from archbench.statistics.estimates import wilson
from archbench.statistics.paired import holm
from tests.results.synthetic import header, loss_header, losses, make_run, planted, rows, share

FORMATS = {
    "standard-0shot": {"format": "standard", "shots": 0},
    "standard-5shot": {"format": "standard", "shots": 5},
    "cloze-5shot": {"format": "cloze", "shots": 5},
}


def test_scores_are_the_planted_ones_with_wilsons_interval(tmp_path: Path) -> None:
    results = make_run(tmp_path, {"a": share(0.6), "b": share(0.3)}, n=200, conditions=FORMATS)
    scores = results.scores()
    assert scores["member"].tolist() == ["a", "b"] * 3
    assert scores["format"].tolist() == ["standard"] * 4 + ["cloze"] * 2
    assert scores["shots"].tolist() == [0, 0, 5, 5, 5, 5]
    assert scores["score"].tolist() == pytest.approx([0.6, 0.3] * 3)
    first = scores.iloc[0]
    assert (first["low"], first["high"], first["n"], first["chance"]) == pytest.approx(
        (*wilson(120, 200), 200, 0.25)
    )
    assert results.scores("acc_norm")["chance"].isna().all()
    assert results.scores("acc_token")["n"].tolist() == [0] * 6


def test_scores_by_group_add_up_to_the_whole(tmp_path: Path) -> None:
    results = make_run(tmp_path, {"a": share(0.6)}, n=203)
    for by in ("subject", "category", ["category", "subject"]):
        grouped = results.scores(by=by)
        assert grouped["n"].sum() == 203
        assert np.dot(grouped["n"], grouped["score"]) / 203 == pytest.approx(results.scores()["score"][0])
    assert results.scores(by="subject")["subject"].tolist() == ["algebra", "history", "law", "physics"]


def test_macro_weighs_subjects_alike(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.write_manifest({})
    made = rows([1, 1, 0, 0], subjects={"x": None, "y": None})[:3]  # x: 1, 0; y: 1
    store.write_cell(header(items=3), made)
    found = load_results(tmp_path).macro().iloc[0]
    assert (found["score"], found["micro"], found["groups"], found["n"]) == pytest.approx((0.75, 2 / 3, 2, 3))
    assert load_results(tmp_path).macro("category").empty  # no item has one


def test_differences_find_the_planted_truth(tmp_path: Path) -> None:
    results = planted(tmp_path)
    table = results.differences().set_index("member")
    assert table["baseline"].unique().tolist() == ["A"]
    assert table["delta"].to_dict() == pytest.approx({"B": 0.10, "C": 0.0, "D": -0.25})
    assert table["verdict"].to_dict() == {"B": "better", "C": "not distinguishable", "D": "worse"}
    assert (table.loc["B", "wins"], table.loc["B", "losses"]) == (180, 60)
    assert (table["p_holm"] >= table["p"]).all()
    assert table.loc["B", "low"] < 0.1 < table.loc["B", "high"]
    back = results.differences("B").set_index("member")
    assert back.loc["A", "delta"] == pytest.approx(-table.loc["B", "delta"])
    assert back.loc["A", "verdict"] == "worse"
    pd.testing.assert_frame_equal(results.differences(), load_results(tmp_path).differences())


def test_right_answers_and_losses_are_families_of_their_own(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.write_manifest({"members": [{"name": "a"}, {"name": "b"}]})
    for member, right in (("a", [0.0] * 9), ("b", [1.0] * 9)):
        store.write_cell(header(member, items=9), rows(right))
        for context in range(40):
            store.write_cell(loss_header(member, f"context-{context}", context, items=9), losses([0.5] * 9))
    table = load_results(tmp_path).differences().set_index("kind")
    assert table.loc["mmlu", "adjusted_for"] == 1
    assert set(table.loc["perplexity", "adjusted_for"]) == {40}
    # 2 / 2^9 is below 5 % alone, and would not be among 41 comparisons.
    assert (table.loc["mmlu", "p_holm"], table.loc["mmlu", "verdict"]) == (2 / 2**9, "better")


@pytest.mark.parametrize(("n", "verdict"), [(5, "too few items to tell"), (6, "worse")])
def test_too_few_items_are_told_from_no_difference(tmp_path: Path, n: int, verdict: str) -> None:
    only = make_run(tmp_path, {"a": share(1), "b": share(0)}, n=n).differences().iloc[0]
    assert (only["verdict"], only["needed"]) == (verdict, 6)


@pytest.mark.parametrize(
    ("others", "fewest"),
    [([], 6), ([1.0], 7), ([1.0] * 99, 12), ([0.0001] * 99, 6), ([0.0001] * 49 + [0.5] * 50, 11)],
)
def test_fewest_items_follow_from_the_other_comparisons(others: list[float], fewest: int) -> None:
    assert fewest_items(others, 0.05) == fewest
    assert holm([2 / 2**fewest, *others])[0] < 0.05 <= holm([4 / 2**fewest, *others])[0]


def test_graded_scores_are_bootstrapped_the_same_way_every_time(tmp_path: Path) -> None:
    results = make_run(
        tmp_path, {"a": lambda n, rng: rng.uniform(0.2, 1, n), "b": lambda n, rng: rng.uniform(0, 0.8, n)}
    )
    assert results.scores()["method"].unique().tolist() == ["t"]
    table = results.differences()
    assert table["method"].tolist() == ["bootstrap"]
    assert table["verdict"].tolist() == ["worse"]
    pd.testing.assert_frame_equal(table, load_results(tmp_path).differences())


def test_pairing_is_by_item_not_by_position(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.write_manifest({"members": [{"name": "b"}, {"name": "a"}]})
    store.write_cell(header("a"), rows([1, 0, 1, 1]))
    store.write_cell(header("b"), rows([1, 0, 1, 1])[::-1])
    results = load_results(tmp_path)
    assert results.members == ["b", "a"]
    only = results.differences().iloc[0]
    assert (only["wins"], only["losses"], only["verdict"]) == (0, 0, "too few items to tell")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"prompt_hash": "other"}, "prompt of 1 items differs between a and b; the first is 'physics/00001'"),
        ({"target": "3"}, "gold answer of 1 items differs between a and b; the first is 'physics/00001'"),
        (
            {"item": "zoology/1"},
            "2 items were answered by only one of a and b; the first is 'physics/00001', which a",
        ),
    ],
)
def test_members_with_other_items_are_not_compared(
    tmp_path: Path, change: dict[str, str], message: str
) -> None:
    store = Store(tmp_path)
    store.write_manifest({})
    store.write_cell(header("a"), rows([1, 0, 1, 1]))
    other = rows([1, 0, 1, 1])
    other[1] |= change
    store.write_cell(header("b"), other)
    both_right = {"labels": {"format": "cloze", "shots": 0}, "variant": "cloze-0shot"}
    for member in ("a", "b"):
        store.write_cell(header(member, **both_right), rows([1, 1, 1, 1]))
    results = load_results(tmp_path)
    (warning,) = results.warnings
    assert re.search(message, warning)
    assert set(results.set_aside) == {header(member).id for member in ("a", "b")}
    for frame in (results.scores(), results.differences(), results.items()):
        assert set(frame["variant"]) == {"cloze-0shot"}
    assert (results.cells.set_index("variant")["status"] == "set aside")["standard-5shot"].all()


def test_conditions_must_be_the_same_task_for_all(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.write_manifest({})
    store.write_cell(header("a"), rows([1, 0, 1, 1]))
    store.write_cell(header("b", metric="acc_norm"), rows([1, 0, 1, 1]))
    results = load_results(tmp_path)
    assert "not the same task for a and b: metric is 'acc' and 'acc_norm'" in results.warnings[0]
    assert results.scores().empty


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"labels": {"format": "standard", "shots": 4}}, "as labels, and the manifest"),
        ({"kind": "lm_eval", "labels": {"name": "mmlu"}}, "gives 'lm_eval' as kind"),
        ({"metric": "acc_norm"}, "gives 'acc_norm' as metric, and the manifest 'acc'"),
        ({"chance": 0.5}, "gives 0.5 as chance, and the manifest 0.25"),
    ],
)
def test_a_header_that_is_none_of_the_planned_condition_is_left_out_alone(
    tmp_path: Path, change: dict[str, Any], told: str
) -> None:
    store = Store(tmp_path)
    about = {name: getattr(header("a"), name) for name in ("kind", "labels", "metric", "chance")}
    store.write_manifest({"conditions": [{"task": "mmlu", "variant": "standard-5shot", **about}]})
    for member in ("a", "b"):
        store.write_cell(header(member, **change if member == "a" else {}), rows([1, 0, 1, 1]))
    results = load_results(tmp_path)
    assert told in " ".join(results.warnings)
    assert results.scores()["member"].tolist() == ["b"]
    assert [store.has(header(one).id, "k1", about=about) for one in ("a", "b")] == [False, True]


def test_failed_and_missing_cells_leave_the_others(tmp_path: Path) -> None:
    make_run(tmp_path, {"a": share(0.6), "b": share(0.3)}, conditions=FORMATS, n=40)
    store = Store(tmp_path)
    labels = FORMATS["cloze-5shot"]
    store.write_cell(
        header("b", variant="cloze-5shot", labels=labels, status="failed", error="NaN", items=0), []
    )
    next(tmp_path.rglob("a/*standard-0shot.json")).unlink()
    results = load_results(tmp_path)
    assert len(results.scores()) == 4
    assert results.differences()["variant"].tolist() == ["standard-5shot"]
    assert sorted(results.cells["status"]) == ["complete"] * 4 + ["failed"]
    assert "4 cells complete" in repr(results)


def test_conditions_come_in_the_suites_order_or_by_number(tmp_path: Path) -> None:
    numbers = {f"{shots}-shot": {"format": "cloze", "shots": shots} for shots in (1000, 200, 30)}
    results = make_run(tmp_path, {"a": share(0.5)}, conditions=numbers, n=8)
    assert [one.variant for one in results.conditions] == ["1000-shot", "200-shot", "30-shot"]
    Store(tmp_path).write_manifest({})
    assert [one.variant for one in load_results(tmp_path).conditions] == ["30-shot", "200-shot", "1000-shot"]


def test_items_carry_their_cells_labels(tmp_path: Path) -> None:
    results = make_run(tmp_path, {"a": share(0.5), "b": share(0.5)}, conditions=FORMATS, n=8)
    items = results.items(member="b")
    assert len(items) == 24
    assert items["member"].unique().tolist() == ["b"]
    assert items.groupby("variant")["shots"].first().to_dict() == {v: f["shots"] for v, f in FORMATS.items()}
    assert items["choices"][0].tolist() == [" A", " B", " C", " D"]
    with pytest.raises(RequestError, match=r"no task 'mlu'. Did you mean 'mmlu'"):
        results.items(task="mlu")
    with pytest.raises(RequestError, match=r"no metric 'acc_nrm'. Did you mean 'acc_norm'"):
        results.scores("acc_nrm")
    with pytest.raises(RequestError, match=r"no item column 'subjct'. Did you mean 'subject'"):
        results.scores(by="subjct")
    with pytest.raises(RequestError, match="no member 'z'"):
        results.differences("z")


def test_margins_count_ties_and_near_ties(tmp_path: Path) -> None:
    results = make_run(tmp_path, {"a": share(0.5)}, n=100)
    assert results.margins()[["n", "near", "ties"]].to_numpy().tolist() == [[100, 2, 2]]
    assert results.margins(noise=2)["near"].tolist() == [100]


def test_a_run_without_cells_gives_empty_frames(tmp_path: Path) -> None:
    Store(tmp_path).write_manifest({"members": [{"name": "a"}]})
    results = load_results(tmp_path)
    for frame in (results.scores(), results.differences(), results.cells, results.items(), results.margins()):
        assert frame.empty
        assert "member" in frame
    assert "No cell" in results._repr_html_()


def test_notebooks_show_a_small_escaped_table(tmp_path: Path) -> None:
    html = make_run(tmp_path, {"<script>": share(0.5)}, n=8)._repr_html_()
    assert "<script>" not in html
    assert "50.0" in html


def test_one_item_is_enough_for_a_score(tmp_path: Path) -> None:
    results = make_run(tmp_path, {"a": share(1), "b": share(0)}, n=1)
    assert results.scores()["score"].tolist() == [1, 0]
    only = results.differences().iloc[0]
    assert (only["delta"], only["p"], only["verdict"]) == (-1, 1, "too few items to tell")


def test_only_cells_that_the_manifest_plans_belong_to_the_run(tmp_path: Path) -> None:
    make_run(tmp_path, {"a": share(0.6), "old": share(0.3)}, n=8)
    labels = {"format": "cloze", "shots": 0}
    planned = {"task": "mmlu", "variant": "cloze-0shot", "kind": "mmlu", "labels": labels, "metric": "acc"}
    cells = [
        {"member": "a", "task": "mmlu", "variant": "standard-5shot", "key": "k1"},
        {"member": "old", "task": "mmlu", "variant": "standard-5shot", "key": "k2"},
    ]
    Store(tmp_path).write_manifest({"members": [{"name": "a"}], "conditions": [planned], "cells": cells})
    results = load_results(tmp_path)
    assert results.members == ["a"]
    assert [one.variant for one in results.conditions] == ["cloze-0shot", "standard-5shot"]
    assert results.scores()["variant"].tolist() == ["standard-5shot"]


def test_metrics_that_one_member_lacks_are_kept_for_the_others(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.write_manifest({})
    store.write_cell(header("a"), rows([1, 0, 1, 1]))
    fewer = [
        {k: v for k, v in row.items() if k not in ("acc_norm", "acc_token")} for row in rows([1, 0, 1, 1])
    ]
    store.write_cell(header("b", metrics=("acc",)), fewer)
    store.write_cell(header("c", metrics=("acc",), status="failed", error="no", items=0), [])
    results = load_results(tmp_path)
    assert results.conditions[0].metrics == ("acc", "acc_norm", "acc_token")
    assert results.scores("acc_norm")["member"].tolist() == ["a"]
    assert results.differences("b", "acc_norm").empty
