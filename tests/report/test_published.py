"""Printed scores next to measured ones: whose they are, of which condition, and how they are marked."""

from __future__ import annotations

from pathlib import Path

import pytest

from archbench.errors import RequestError
from archbench.report.findings import Findings
from archbench.report.parts.published import INDEPENDENT, published
from archbench.report.settings import ReportSettings
from archbench.reporting import build_report
from archbench.results.conditions import Condition
from archbench.results.frames import load_results
from archbench.results.published import models_of, papers, published_score
from archbench.results.store import Store
from archbench.suite import load_suite
from tests.results.synthetic import header, make_run, rows, share

STANDARD = {"standard-5shot": {"format": "standard", "shots": 5}}
NVIDIA = {
    "name": "x",
    "members": [
        {"name": "hybrid", "family": "nvidia-8b"},
        {"name": "mamba2", "family": "nvidia-8b"},
        {"name": "mine", "family": None},
    ],
}


def test_members_of_a_shipped_family_have_theirs_and_others_where_they_say_so(tmp_path: Path) -> None:
    members = {"hybrid": share(0.5), "mamba2": share(0.4), "mine": share(0.3)}
    results = make_run(tmp_path / "run", members, conditions=STANDARD, manifest=NVIDIA)
    sheet = published(Findings(results, ReportSettings()))
    assert sheet is not None
    shown = [(row[1], getattr(row[3], "text", ""), row[4], row[5]) for row in sheet.tables[0].rows]
    assert shown == [
        ("hybrid", "53.6", "−3.6", "waleffe2024/hybrid-3.5T, table7"),
        ("mamba2", "48.7", "−8.7", "waleffe2024/mamba2-3.5T, table3"),
    ]
    assert list(sheet.data["evidence"]) == ["direct", "direct"]
    named = ReportSettings(published={"mine": "waleffe2024/mamba-1.1T"})
    again = published(Findings(results, named))
    assert again is not None
    assert list(again.data["published"]) == pytest.approx([0.536, 0.487, 0.28])
    files = build_report(results, tmp_path / "out", named)
    assert "### Published" in files.page.read_text()
    assert "Shots other than MMLU's" in files.page.read_text()


def test_without_a_published_member_there_is_no_such_table(tmp_path: Path) -> None:
    results = make_run(tmp_path / "run", {"a": share(0.5)}, conditions=STANDARD)
    assert published(Findings(results, ReportSettings())) is None


def test_members_that_share_a_name_are_told_apart_by_their_family() -> None:
    manifest = {"members": [{"name": "nvidia-8b:mamba2", "family": "nvidia-8b"}]}
    assert models_of(["nvidia-8b:mamba2"], manifest, {}) == {"nvidia-8b:mamba2": ["waleffe2024/mamba2-3.5T"]}
    other = {"members": [{"name": "mamba2", "family": "microworld"}]}
    assert models_of(["mamba2"], other, {}) == {}


def test_wrong_names_are_told() -> None:
    with pytest.raises(RequestError, match=r"no member of this run is called 'mien'.*'mine'"):
        models_of(["mine"], {}, {"mien": "waleffe2024/mamba2-3.5T"})
    with pytest.raises(RequestError, match=r"no published model 'waleffe2024/mamba2-3.5'"):
        models_of(["mine"], {}, {"mine": "waleffe2024/mamba2-3.5"})


@pytest.mark.parametrize(
    ("suite", "models", "missing"),
    [
        ("waleffe-1.1T", ("transformer-1.1T", "mamba-1.1T", "mamba2-1.1T"), set()),
        ("waleffe-3.5T", ("transformer-3.5T", "hybrid-3.5T", "hybrid-16k", "transformer-32k"), set()),
        ("waleffe-3.5T", ("mamba2-3.5T",), {"openbookqa", "truthfulqa", "pubmedqa", "race"}),
        ("standard12", ("hybrid-3.5T",), set()),
    ],
)
def test_every_condition_of_the_studys_suites_has_its_printed_score(
    suite: str, models: tuple[str, ...], missing: set[str]
) -> None:
    conditions = [
        Condition(
            name, one.name, entry.kind, tuple(one.labels.items()), one.metric, (one.metric,), one.chance
        )
        for name, entry in load_suite(suite).tasks.items()
        for one in entry.variants()
    ]
    for model in models:
        found = {one: published_score(f"waleffe2024/{model}", one) for one in conditions}
        assert {one.task for one, score in found.items() if score is None} == missing
        used = {score.score for score in found.values() if score}
        rows = [t.rows[model] for t in papers()["waleffe2024"].tables.values() if model in t.rows]
        printed = {round(value / 100, 6) for row in rows for value in row.values}
        assert {round(one, 6) for one in used} <= printed


def test_what_others_measured_is_marked(tmp_path: Path) -> None:

    store = Store(tmp_path / "run")
    store.write_manifest({"name": "x", "members": [{"name": "mamba2", "family": "nvidia-8b"}]})
    head = header(
        "mamba2",
        "nq",
        "nq_open-0shot",
        kind="lm_eval",
        labels={"name": "nq_open", "shots": 0},
        metric="exact_match",
        metrics=("exact_match",),
        chance=None,
    )
    kept = [row | {"exact_match": row["acc"]} for row in rows([1.0, 0.0, 0.0, 0.0])]
    for row in kept:
        for name in ("acc", "acc_norm", "acc_token"):
            del row[name]
    store.write_cell(head, kept)
    sheet = published(Findings(load_results(tmp_path / "run"), ReportSettings()))
    assert sheet is not None
    (line,) = sheet.tables[0].rows
    assert getattr(line[3], "mark", "") == INDEPENDENT
    assert "measured by others" in sheet.tables[0].caption
