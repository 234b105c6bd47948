"""A member that shares no prefixes is announced on the screen, in the manifest and the report, or refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

import archbench
from archbench.engine.cache import states
from archbench.errors import RequestError
from archbench.reporting import build_report
from archbench.results.frames import RunResults
from archbench.results.store import Store
from archbench.results.work import Work, work_of
from archbench.suite import load_suite
from tests.command import call
from tests.results.synthetic import header


def run(out: Path, *overrides: str, strict: bool = False, quiet: bool = False) -> RunResults:
    suite = {
        "name": "one",
        "families": [{"name": "microworld", "members": ["transformer"]}],
        "tasks": {
            "mmlu": {"kind": "mmlu", "data": "microworld", "formats": ["cloze"], "shots": [0], "limit": 1}
        },
        "engine": {"threads": 1},
    }
    return archbench.run(load_suite(suite, overrides), out, strict_sharing=strict, quiet=quiet)


def test_a_member_that_shares_announces_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results = run(tmp_path, strict=True)
    told = capsys.readouterr()
    assert "prefixes: " not in told.out + told.err
    (member,) = results.manifest["members"]
    assert member["sharing"] == {"level": "chunk", "reason": ""}
    total = results.manifest["work"]["total"]
    assert total == results.manifest["work"]["members"]["transformer"]
    assert total["requested"] > total["forwarded"] >= total["distinct"] > 0
    assert total["passes"] > 0
    assert total["bound_reached"] == total["distinct"] / total["forwarded"]
    page = build_report(results, tmp_path / "report").page.read_text(encoding="utf-8")
    assert "Prefix sharing: transformer: whole prefixes." in page
    assert f"{total['distinct']:,} distinct" in page
    assert "holds no prefixes" not in page


def test_one_that_does_not_is_announced_everywhere(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(states, "_FORKABLE", set())
    results = run(tmp_path)
    told = capsys.readouterr()
    screen = " ".join((told.out + told.err).split())
    assert "WARNING: transformer holds no prefixes: " in screen
    assert screen.index("holds no prefixes") < screen.index("[1/1]"), "before its first cell"
    (member,) = results.manifest["members"]
    assert member["sharing"]["level"] == "none"
    assert "DynamicLayer" in member["sharing"]["reason"]
    page = build_report(results, tmp_path / "report").page.read_text(encoding="utf-8")
    assert page.index("holds no prefixes") < page.index("## Figures")


def test_or_ends_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(states, "_FORKABLE", set())
    with pytest.raises(RequestError, match=r"transformer: prefixes are not held.*--strict-sharing"):
        run(tmp_path, strict=True)
    assert Store(tmp_path).headers() == []


@pytest.mark.parametrize(("cache_bytes", "reason"), [(0, "cache_bytes is 0"), (10, "a single token takes")])
def test_memory_for_nothing_counts_as_no_sharing(tmp_path: Path, cache_bytes: int, reason: str) -> None:
    with pytest.raises(RequestError, match=reason):
        run(tmp_path, f"engine.cache_bytes={cache_bytes}", strict=True)


def test_memory_for_less_than_would_pay_is_a_warning(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results = run(tmp_path, "mmlu.shots=[5]", "mmlu.limit=3", "engine.cache_bytes=100000")
    (cell,) = results.headers
    assert cell.sharing == "chunk"
    (warning,) = cell.warnings
    assert "do not fit into engine.cache_bytes" in warning
    assert "do not fit into engine.cache_bytes" in " ".join(capsys.readouterr().err.split())


def test_a_member_on_another_model_class_is_refused_before_anything_runs(tmp_path: Path) -> None:
    suite = {
        "name": "one",
        "members": {"other": {"backend": "dummy", "arguments": {"model": "nothing"}}},
        "tasks": {"mmlu": {"kind": "mmlu", "data": "microworld", "formats": ["cloze"], "limit": 1}},
    }
    with pytest.raises(RequestError, match=r"other: .*model class 'dummy'.*--strict-sharing"):
        archbench.run(suite, tmp_path, strict_sharing=True)
    assert not (tmp_path / "manifest.json").exists()


def test_a_resumed_run_states_the_whole(tmp_path: Path) -> None:
    whole = run(tmp_path / "a").manifest["work"]
    run(tmp_path / "b")
    (cell,) = Store(tmp_path / "b").headers()
    assert run(tmp_path / "b").manifest["work"] == whole
    assert work_of([cell]) == work_of(Store(tmp_path / "a").headers())


def test_cells_of_before_are_counted_as_unknown() -> None:
    old = header("a", "mmlu", "standard", items=2, tokens_requested=9, tokens_forwarded=3)
    new = old.model_copy(update={"tokens_distinct": 2, "tokens_padded": 0, "passes": 1})
    assert work_of([old, new]) == Work(9, 2, 3, 0, 1, cells=1, unknown=1)
    assert work_of([old]).bound_reached is None


def test_what_the_suite_shows_is_refused_with_the_plan(tmp_path: Path, here: Path) -> None:
    given = ["engine.cache_bytes=0", "mmlu.formats=[cloze]"]
    options = [one for each in given for one in ("--set", each)]
    outcome = call("run", "quick", "--out", tmp_path, *options, "--strict-sharing", "--dry-run")
    assert outcome.exit_code == 2
    assert "engine.cache_bytes is 0, and the run was started with --strict-sharing" in outcome.stderr
    assert not (tmp_path / "manifest.json").exists()


def test_a_member_that_ended_the_run_is_in_the_manifest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(states, "_FORKABLE", set())
    with pytest.raises(RequestError):
        run(tmp_path, strict=True)
    manifest = Store(tmp_path).manifest
    assert manifest["members"][0]["sharing"]["level"] == "none"
    assert manifest["finished"] is None


@pytest.mark.parametrize("quiet", [False, True])
def test_a_reason_is_said_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, quiet: bool
) -> None:
    """By the member's name where the run shows something, in the log where it shows nothing."""
    monkeypatch.setattr(states, "_FORKABLE", set())
    run(tmp_path, quiet=quiet)
    assert ("DynamicLayer" in caplog.text) == quiet


def test_every_member_and_the_run_state_their_tokens(tmp_path: Path) -> None:
    results = run(tmp_path, 'families=[{"name": "microworld", "members": ["transformer", "mamba2"]}]')
    works = results.manifest["work"]
    assert set(works["members"]) == {"transformer", "mamba2"}
    page = build_report(results, tmp_path / "report").page.read_text(encoding="utf-8")
    assert "- Prefix sharing: transformer, mamba2: whole prefixes." in page
    for name, work in {**works["members"], "the run": works["total"]}.items():
        ratio, reached = work["forwarded"] / work["distinct"], 100 * work["bound_reached"]
        assert (
            f"- Tokens of {name}: {work['requested']:,} requested, {work['distinct']:,} distinct, "
            f"{work['forwarded']:,} forwarded ({ratio:.2f} times the distinct: {reached:.1f} % of the "
            "speed-up"
        ) in page


def test_answers_from_before_are_counted_apart(tmp_path: Path) -> None:
    whole = run(tmp_path).manifest["work"]["total"]
    assert whole["requests_known"] == 0
    # As if the run had been stopped in a cell whose answers were kept already.
    next(tmp_path.glob("cells/transformer/*.json")).unlink()
    results = run(tmp_path)
    work = results.manifest["work"]["total"]
    assert work["requests_known"] > 0
    assert work["requested"] == work["forwarded"] == 0
    page = build_report(results, tmp_path / "report").page.read_text(encoding="utf-8")
    assert f"{work['requests_known']:,} requests were answered already" in page


def test_cells_that_were_run_without_sharing_stay_announced(tmp_path: Path) -> None:
    """Also when the run went on with more memory, so that the member shares now."""
    run(tmp_path, "engine.cache_bytes=0")
    results = run(tmp_path, "mmlu.shots=[0, 1]")
    assert {one.sharing for one in results.headers} == {"none", "chunk"}
    page = build_report(results, tmp_path / "report").page.read_text(encoding="utf-8")
    assert "**WARNING: transformer held no prefixes in 1 of 2 cells when they were run." in page


def test_members_without_results_are_not_said_to_share_anything(tmp_path: Path) -> None:
    """Of a run that was stopped before its second member, the report tells of the first alone."""
    results = run(tmp_path, "families=[{name: microworld, members: [transformer, mamba2]}]")
    shutil.rmtree(tmp_path / "cells" / "mamba2")
    path = tmp_path / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["members"][1].pop("sharing")
    path.write_text(json.dumps(manifest))
    results = archbench.load_results(tmp_path)
    page = build_report(results, tmp_path / "report").page.read_text(encoding="utf-8")
    assert "- Prefix sharing: transformer: whole prefixes." in page
    assert "not recorded" not in page
    assert "Tokens of mamba2" not in page
    assert "mamba2" in page


def test_without_memory_only_what_does_go_together_is_said_to(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Options of one token after the same prompt are read off one pass; no sentence says otherwise."""
    results = run(tmp_path, "engine.cache_bytes=0", "mmlu.formats=[standard]", "mmlu.limit=5")
    (cell,) = results.headers
    assert cell.sharing == "none"
    assert cell.tokens_requested == 4 * (cell.tokens_forwarded or 0)
    screen = " ".join(capsys.readouterr().err.split())
    page = build_report(results, tmp_path / "report").page.read_text(encoding="utf-8")
    together = (
        "only requests whose tokens another one feeds as well, such as options of one token after the same"
    )
    assert "WARNING: transformer holds no prefixes: prefixes are not held: engine.cache_bytes is 0." in screen
    assert f"the run takes longer: {together} prompt, are computed together." in screen
    assert "75% shared (no prefix held)" in screen
    assert f"Scores are exact; {together} prompt, were computed together." in page
    for text in (screen, page):
        assert "shares no prefixes" not in text
        assert "on their own" not in text


def test_of_other_model_classes_nothing_is_said_about_what_goes_together(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    suite = {
        "name": "one",
        "members": {"other": {"backend": "dummy", "arguments": {"model": "nothing"}}},
        "tasks": {"mmlu": {"kind": "mmlu", "data": "microworld", "formats": ["cloze"], "limit": 1}},
    }
    results = archbench.run(suite, tmp_path)
    screen = " ".join(capsys.readouterr().err.split())
    page = build_report(results, tmp_path / "report").page.read_text(encoding="utf-8")
    for text in (screen, page):
        assert "WARNING: other shares no prefixes: " in text
        assert "computed together" not in text
