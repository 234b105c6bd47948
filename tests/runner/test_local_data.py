"""A suite of lm-eval's own tasks over local files, from the suite to the stored rows."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from lm_eval.tasks import TaskManager
from typer.testing import CliRunner

from archbench.cli.app import app
from archbench.report.findings import Findings
from archbench.report.parts.prompts import spread
from archbench.report.settings import ReportSettings
from archbench.results.store import Store
from archbench.runner.execute import run_suite
from archbench.runner.plan import make_plan
from archbench.suite import load_suite
from archbench.tasks.lm_eval import index
from tests.tasks.test_standard_twelve import HOME, save
from tests.tasks.twelve import TWELVE


@pytest.fixture(autouse=True)
def _small_index(monkeypatch: pytest.MonkeyPatch) -> None:
    manager = TaskManager(include_path=[str(HOME / "piqa"), str(HOME / "squadv2")], include_defaults=False)
    monkeypatch.setattr(index, "task_manager", lambda include=(): manager)


def test_from_a_suite_beside_its_data_to_rows(here: Path, shelf: Path) -> None:
    (here / "files").mkdir()
    save(here / "files" / "piqa", TWELVE["piqa"])
    save(here / "files" / "squadv2", TWELVE["squadv2"])
    (here / "suite.yaml").write_text(
        "name: local\n"
        f"members: {{llama: {shelf / 'llama'}}}\n"
        "tasks:\n"
        "  piqa: {kind: lm_eval, tasks: [piqa], data: files/piqa, num_fewshot: 1}\n"
        "  squadv2: {kind: lm_eval, tasks: [squadv2], data: {squadv2: files/squadv2}, metric: f1}\n"
    )
    suite = load_suite(here / "suite.yaml")
    results = run_suite(suite, here / "out", quiet=True)
    assert [(header.status, header.items) for header in results.headers] == [("complete", 2), ("complete", 2)]
    assert list(results.items("piqa")["item"]) == ["piqa:0", "piqa:1"]
    assert set(results.items("squadv2")) >= {"exact", "f1", "prediction", "prompt_tokens"}
    keys = [cell.key for cell in make_plan(suite, Store(here / "out")).cells]
    assert all(cell.done for cell in make_plan(suite, Store(here / "out")).cells)
    with (here / "files" / "piqa" / "train.jsonl").open("a") as file:
        file.write("\n")
    changed = make_plan(suite, Store(here / "out")).cells
    assert [cell.key == key for cell, key in zip(changed, keys, strict=True)] == [False, True]


def test_changed_prompts_are_cells_of_their_own_and_reported(here: Path, shelf: Path) -> None:
    save(here / "piqa", TWELVE["piqa"])
    text = (
        "name: prompts\n"
        f"members: {{llama: {shelf / 'llama'}}}\n"
        "tasks: {piqa: {kind: lm_eval, tasks: [piqa], data: piqa, perturb: [%s]}}\n"
    )
    (here / "plain.yaml").write_text(text % "")
    (here / "suite.yaml").write_text(text % "delimiter, preamble")
    before = [cell.key for cell in make_plan(load_suite(here / "plain.yaml"), Store(here / "out")).cells]
    results = run_suite(load_suite(here / "suite.yaml"), here / "out", quiet=True)
    keys = [header.key for header in results.headers]
    assert keys[:1] == before, "the plain prompt's cell is the same with and without changed ones"
    assert len(set(keys)) == 3
    items = results.items("piqa").groupby("variant")["prompt_hash"].agg(list)
    assert items["piqa"] == items["piqa+delimiter"], "what changes is the answer's first character"
    assert items["piqa"] != items["piqa+preamble"]
    sheet = spread(Findings(results, ReportSettings()))
    assert sheet is not None
    assert re.search(r"\| piqa \| llama \| 50\.0 .* of 2 \|", sheet.to_markdown())


def test_without_data_or_network_it_ends_at_once_and_says_what_to_do(
    here: Path, shelf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import datasets

    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", here / "cache")
    (here / "suite.yaml").write_text(
        f"name: far\nmembers: {{llama: {shelf / 'llama'}}}\n"
        "tasks: {piqa: {{kind: lm_eval, tasks: [piqa]}}\n"
    )
    result = CliRunner().invoke(app, ["run", "suite.yaml"], prog_name="archbench")
    assert result.exit_code != 0
    assert "Every answer" not in result.output
    assert not (here / "results").exists()
