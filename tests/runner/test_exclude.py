"""Items that one member cannot take: left out for every member, and counted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import archbench
from archbench.errors import RunError
from archbench.report.findings import Findings
from archbench.report.settings import ReportSettings
from archbench.reporting import build_report
from benchmarks.scoring import requests_of
from tests.runner.test_run import content
from tests.runner.tiny import LLAMA, save_model, save_questions


def lengths(folder: Path, shots: int) -> list[int]:
    """Tokens of every item, its longest choice included; the tokenizer has one per byte."""
    longest: dict[tuple[str, int], int] = {}
    for one in requests_of(folder, "cloze", shots, 2, None):
        item = (str(one.task_name), int(one.doc_id))
        longest[item] = max(longest.get(item, 0), len("".join(one.args).encode()) - 1)
    return sorted(longest.values())


@pytest.fixture(scope="module")
def limit(tmp_path_factory: pytest.TempPathFactory) -> int:
    """So many tokens that all items fit without shots, and only some with one."""
    folder = save_questions(tmp_path_factory.mktemp("count") / "mmlu")
    found = lengths(folder, 1)[5]
    assert lengths(folder, 0)[-1] <= found < lengths(folder, 1)[-1]
    return found


@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory, limit: int) -> Path:
    """A shelf whose first model takes inputs up to the limit only."""
    base = tmp_path_factory.mktemp("narrow")
    save_model(base / "llama", LLAMA | {"max_position_embeddings": limit})
    save_model(base / "mamba", LLAMA, seed=1)
    save_questions(base / "mmlu")
    return base


def suite(shelf: Path, **engine: Any) -> dict[str, Any]:
    made = content(shelf, engine={"device": "cpu", **engine})
    made["tasks"]["mmlu"] |= {"formats": ["cloze"], "shots": [0, 1]}
    return made


def test_an_error_unless_the_suite_says_otherwise(narrow: Path, here: Path) -> None:
    results = archbench.run(suite(narrow), quiet=True)
    failed = {header.id.variant: header.error for header in results.headers if header.status == "failed"}
    assert set(failed) == {"cloze-1shot"}
    assert "engine.too_long=exclude" in str(failed["cloze-1shot"])


def test_excluded_items_count_for_nobody(narrow: Path, here: Path, limit: int) -> None:
    archbench.run(suite(narrow), quiet=True)
    # Only the cell that failed has to be run: the others exclude nothing.
    results = archbench.run(suite(narrow, too_long="exclude"), quiet=True)
    headers = {header.id: header for header in results.headers}
    short, long = headers["attention", "mmlu", "cloze-0shot"], headers["attention", "mmlu", "cloze-1shot"]
    assert (short.excluded, short.items) == (0, 12)
    assert 0 < long.excluded < 12
    assert long.lm_eval == {}, "lm-eval's own averages would count excluded items as answered"
    assert headers["recurrence", "mmlu", "cloze-1shot"].excluded == 0

    items = results.items()
    out = items[items["excluded"]]
    assert len(out) == long.excluded
    assert out[["acc", "acc_norm", "acc_token", "margin"]].isna().all(axis=None)
    assert (out["prediction"] == "").all()
    for _, row in out.iterrows():
        assert row["prompt_tokens"] + max(row["choice_tokens"]) - 1 > limit
    # Of the other member too, though it answered them.
    gone = items[items["left_out"]]
    assert len(gone) == 2 * long.excluded
    assert set(gone["item"]) == set(out["item"])
    assert gone[gone["member"] == "recurrence"]["acc"].notna().all()

    scores = results.scores().set_index(["member", "variant"])["n"]
    assert list(scores[:, "cloze-1shot"]) == [12 - long.excluded] * 2
    assert list(scores[:, "cloze-0shot"]) == [12] * 2
    assert results.left_out["mmlu", "cloze-1shot"] == long.excluded
    (difference,) = results.differences().query("variant == 'cloze-1shot'")["n"]
    assert difference == 12 - long.excluded


def test_a_member_that_can_take_nothing_does_not_empty_the_table(narrow: Path, here: Path) -> None:
    save_model(here / "tiny", LLAMA | {"max_position_embeddings": 20})
    made = suite(narrow, too_long="exclude")
    made["members"]["tiny"] = str(here / "tiny")
    results = archbench.run(made, quiet=True)
    assert {header.excluded for header in results.headers if header.member == "tiny"} == {12}
    scores = results.scores()
    assert set(scores[scores["n"] > 0]["member"]) == {"attention", "recurrence"}
    assert (scores.query("variant == 'cloze-0shot' and member != 'tiny'")["n"] == 12).all()
    gaps = Findings(results, ReportSettings()).gaps(results.conditions)
    assert any("tiny" in line and "all 12 items are longer than it takes" in line for line in gaps)
    assert build_report(results, here / "report").page.is_file()


def test_a_run_that_must_not_exclude_does_not_take_an_excluding_cell(narrow: Path, here: Path) -> None:
    archbench.run(suite(narrow, too_long="exclude"), quiet=True)
    results = archbench.run(suite(narrow), quiet=True)
    assert [header.id.variant for header in results.headers if header.status == "failed"] == ["cloze-1shot"]


def test_where_everything_is_too_long_it_is_said(
    narrow: Path, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = suite(narrow, too_long="exclude") | {"engine": {"max_length": 5, "too_long": "exclude"}}
    results = archbench.run(one)
    assert "0 of 12 items (12 too long)" in capsys.readouterr().err
    with pytest.raises(RunError, match="every item is too long for a member"):
        build_report(results, here / "report")


def test_the_report_says_so(narrow: Path, here: Path) -> None:
    results = archbench.run(suite(narrow, too_long="exclude"), quiet=True)
    out = results.left_out["mmlu", "cloze-1shot"]
    page = build_report(results, here / "report").page.read_text(encoding="utf-8")
    assert f"{out} items are too long for a member and left out for every one" in page
    assert f"{out} of 12 items are longer than it takes" in page
    assert "without a score" not in page
