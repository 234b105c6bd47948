"""Cells whose work is a function: measures, outcomes, and models that are loaded where they are needed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from archbench.errors import RequestError
from archbench.reporting import build_report, summary
from archbench.results.header import CellHeader
from archbench.results.measures import Measure
from archbench.results.store import Store
from archbench.runner import cells
from archbench.runner.execute import run_plan
from archbench.runner.plan import make_plan
from archbench.runner.planned import Plan
from archbench.suite import load_suite
from archbench.tasks.entry import Variant
from archbench.tasks.work import Evaluation, OnArchitecture, OnModel, Work
from tests.results.synthetic import header
from tests.runner.tiny import LLAMA, MAMBA, save_model, save_questions


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two members of a family with architecture blocks, and questions."""
    base = tmp_path_factory.mktemp("shelf")
    save_questions(base / "mmlu", test=2)
    for name, block in (("llama", LLAMA), ("mamba", MAMBA)):
        save_model(base / name, block)
    (base / "pair.yaml").write_text(
        "name: pair\ntitle: Two\nmembers:\n"
        f"  a: {{path: llama, architecture: {LLAMA}}}\n  b: {{path: mamba, architecture: {MAMBA}}}\n",
        encoding="utf-8",
    )
    return base


def planned(shelf: Path, out: Path, *works: tuple[Work, str | None]) -> Plan:
    """A plan whose cells are replaced by these works, one cell of each per member."""
    content = {
        "name": "works",
        "families": ["pair"],
        "tasks": {
            "task": {"kind": "mmlu", "data": str(shelf / "mmlu"), "formats": ["standard"], "shots": [0]}
        },
        "allow_unmatched": True,
    }
    plan = make_plan(load_suite(content), Store(out), families_dirs=[shelf])
    # Not a kind that is known, so that nothing is expected of its labels.
    made = [
        replace(
            cell,
            entry=cell.entry.model_copy(update={"kind": "probe"}),
            variant=Variant(f"work-{at}", {"name": f"work {at}"}, work, metric),
            key=f"{cell.key}{at}",
        )
        for cell in plan.cells
        for at, (work, metric) in enumerate(works)
    ]
    return replace(plan, cells=made)


def layers(architecture: Any, *, seed: int) -> Evaluation:
    """A measure of the architecture block."""
    count = float(architecture["num_hidden_layers"])
    return Evaluation([], measures=(Measure(name="layers", value=count, unit="layers"),))


def diverging(architecture: Any, *, seed: int) -> Evaluation:
    """A training whose loss stopped being finite."""
    return Evaluation([], outcome="diverged")


def speed(model: Any, *, seed: int, tokens: int) -> Evaluation:
    """A measure of the model."""
    assert len(model.tok_encode("ab" * tokens)) == 2 * tokens
    found = Measure(name="speed", value=12.5, unit="tokens/s", low=12.0, high=13.0, n=3, better="higher")
    return Evaluation([], measures=(found,))


def test_a_model_is_loaded_by_the_first_cell_that_needs_it(
    shelf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    evaluate, load = cells.evaluate_variant, cells.load_member

    def spy_evaluate(subject: Any, variant: Variant, **more: Any) -> Any:
        done.append(variant.name)
        return evaluate(subject, variant, **more)

    def spy_load(member: Any, *arguments: Any, **more: Any) -> Any:
        done.append("load")
        return load(member, *arguments, **more)

    monkeypatch.setattr(cells, "evaluate_variant", spy_evaluate)
    monkeypatch.setattr(cells, "load_member", spy_load)
    works = (
        (OnArchitecture(layers), None),
        (OnModel(speed, {"tokens": 3}), None),
        (OnArchitecture(layers), None),
    )
    run_plan(planned(shelf, tmp_path, *works), tmp_path, quiet=True)
    assert done == ["work-0", "load", "work-1", "work-2"] * 2
    done.clear()
    run_plan(planned(shelf, tmp_path / "2", (OnArchitecture(layers), None)), tmp_path / "2", quiet=True)
    assert done == ["work-0"] * 2, "nothing is loaded"


def test_measures_and_divergence_are_kept_and_reported(shelf: Path, tmp_path: Path) -> None:
    works = (
        (OnArchitecture(layers), None),
        (OnModel(speed, {"tokens": 3}), None),
        (OnArchitecture(diverging), None),
    )
    results = run_plan(planned(shelf, tmp_path, *works), tmp_path, quiet=True)
    assert [one.status for one in results.headers] == ["complete"] * 6
    frame = results.measures().set_index(["member", "variant"])
    assert frame.loc[("a", "work-1"), "value"] == 12.5
    assert frame.loc[("b", "work-1"), ["unit", "low", "high", "n", "better"]].tolist() == [
        "tokens/s",
        12.0,
        13.0,
        3,
        "higher",
    ]
    assert frame.loc[("a", "work-2"), "outcome"] == "diverged"
    page = build_report(results, tmp_path / "report").page.read_text(encoding="utf-8")
    assert "### Measures" in page
    assert "a, b diverged on task work-2" in page
    assert "speed (tokens/s)" in page
    assert "no result" not in page
    assert summary(results) is not None


def test_a_metric_that_does_not_come_back_fails_its_cell(shelf: Path, tmp_path: Path) -> None:
    results = run_plan(planned(shelf, tmp_path, (OnArchitecture(layers), "acc")), tmp_path, quiet=True)
    assert {one.status for one in results.headers} == {"failed"}
    assert "The metric 'acc' is not among the scores that came back: none." in str(results.headers[0].error)


def test_headers_of_earlier_versions_say_what_their_metric_is() -> None:
    def read(metric: str) -> CellHeader:
        content = header("a", "task", "v", kind="other", metric=metric, metrics=(metric,)).model_dump(
            mode="json"
        )
        for later in ("scale", "measures", "outcome"):
            del content[later]
        return CellHeader.model_validate(content | {"schema_version": 2})

    assert (read("compression").scale, read("acc").scale) == ("loss", "accuracy")
    assert (read("acc").measures, read("acc").outcome) == ((), "finished")


def test_a_figure_style_is_looked_for_with_the_plan(shelf: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.mplstyle").write_text("font.size: 14\n", encoding="utf-8")
    tasks = f"tasks:\n  q: {{kind: mmlu, data: {shelf}/mmlu, formats: [standard], shots: [0]}}\n"
    suite = tmp_path / "suite.yaml"
    suite.write_text(
        f"name: s\nfamilies: [pair]\n{tasks}report: {{figure_style: mine.mplstyle}}\n", encoding="utf-8"
    )
    plan = make_plan(load_suite(suite), Store(tmp_path / "out"), families_dirs=[shelf])
    assert plan.suite.report.figure_style == str(tmp_path / "mine.mplstyle")
    with pytest.raises(RequestError, match=r"report.figure_style=.*: there is no file yours\.mplstyle"):
        make_plan(
            load_suite(suite, ["report.figure_style=yours.mplstyle"]), Store(tmp_path), families_dirs=[shelf]
        )
