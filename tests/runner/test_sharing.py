"""A member that shares no prefixes is announced on the screen, in the manifest and the report, or refused."""

from __future__ import annotations

from pathlib import Path

import pytest

import archbench
from archbench.engine import states
from archbench.errors import RequestError
from archbench.report.page import build_report
from archbench.results.store import Store
from archbench.results.work import Work, work_of
from archbench.suite import load_suite
from benchmarks.work import compare
from tests.results.synthetic import header


def run(out: Path, *overrides: str, strict: bool = False) -> archbench.RunResults:
    suite = {
        "name": "one",
        "families": [{"name": "microworld", "members": ["transformer"]}],
        "tasks": {
            "mmlu": {"kind": "mmlu", "data": "microworld", "formats": ["cloze"], "shots": [0], "limit": 1}
        },
        "engine": {"threads": 1},
    }
    return archbench.run(load_suite(suite, overrides), out, strict_sharing=strict)


def test_a_member_that_shares_announces_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results = run(tmp_path, strict=True)
    told = capsys.readouterr()
    assert "shares no prefixes" not in told.out + told.err
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
    assert "shares no prefixes" not in page


def test_one_that_does_not_is_announced_everywhere(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(states, "_FORKABLE", set())
    results = run(tmp_path)
    told = capsys.readouterr()
    screen = " ".join((told.out + told.err).split())
    assert "WARNING: transformer shares no prefixes: " in screen
    assert screen.index("shares no prefixes") < screen.index("[1/1]"), "before its first cell"
    (member,) = results.manifest["members"]
    assert member["sharing"]["level"] == "none"
    assert "DynamicLayer" in member["sharing"]["reason"]
    page = build_report(results, tmp_path / "report").page.read_text(encoding="utf-8")
    assert page.index("shares no prefixes") < page.index("## Figures")


def test_or_ends_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(states, "_FORKABLE", set())
    with pytest.raises(RequestError, match=r"transformer: prefixes are not shared.*--strict-sharing"):
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


def test_bounds_of_work_that_are_broken_are_named() -> None:
    cell = header("a", "mmlu", "standard", items=2, tokens_requested=9, tokens_forwarded=4).model_copy(
        update={"tokens_distinct": 3, "tokens_padded": 0, "passes": 7}
    )
    assert compare([cell], {"ratio": 1.4, "passes": {"a": 7}})[1] == []
    assert len(compare([cell], {"ratio": 1.3, "passes": {"a": 6}})[1]) == 2
    assert "no bounds" in compare([cell], {"ratio": 2, "passes": {}})[1][0]
    (unrecorded,) = compare([cell.model_copy(update={"passes": None})], {"ratio": 2, "passes": {"a": 9}})[1]
    assert "do not record" in unrecorded
