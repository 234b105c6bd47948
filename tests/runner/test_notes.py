"""What stands out about the data reaches the screen, the manifest and the report."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from typer.testing import CliRunner

from archbench.cli.app import app
from archbench.results.frames import load_results


def archbench(*words: str) -> str:
    result = CliRunner().invoke(app, words, prog_name="archbench", catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_notes_on_data_are_shown_kept_and_reported(here: Path, shelf: Path) -> None:
    (here / "data").mkdir()
    row = {"question": "Which?", "choices": ["a", "b", "c", "d"], "answer": "2", "subject": "anatomy"}
    (here / "data" / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for _ in range(2)))
    (here / "suite.yaml").write_text(
        "name: noted\n"
        f"members: {{llama: {shelf / 'llama'}}}\n"
        "tasks: {q: {kind: mmlu, data: data, formats: [standard], shots: [0]}}\n"
    )
    base, copies = "--set q.answer_base=1", "1 of 2 evaluated questions are copies"
    shown = archbench("run", "suite.yaml", "--dry-run")
    assert "About q:" in shown
    assert base in shown
    assert copies in shown
    assert len(json.loads(archbench("run", "suite.yaml", "--dry-run", "--json"))["notes"]["q"]) == 2
    run = archbench("run", "suite.yaml", "--out", "out")
    assert base in run
    assert copies in run
    assert len(load_results(here / "out").manifest["notes"]["q"]) == 2
    archbench("report", "out")
    page = (here / "out" / "report" / "report.md").read_text(encoding="utf-8")
    assert "Data of q: 1 of 2 evaluated questions are copies" in page
    first = load_results(here / "out").headers[0].key
    told = archbench("run", "suite.yaml", "--out", "one", "--set", "q.answer_base=1")
    assert base not in told
    results = load_results(here / "one")
    assert results.headers[0].key != first
    assert list(results.items("q")["target"]) == ["1", "1"]


def test_what_a_model_folder_says_that_is_not_followed_is_shown_kept_and_reported(
    here: Path, shelf: Path
) -> None:
    shutil.copytree(shelf / "llama", here / "model")
    config = here / "model" / "config.json"
    own = {"auto_map": {"AutoModelForCausalLM": "modeling_mine.Mine"}}
    config.write_text(json.dumps(json.loads(config.read_text()) | own))
    (here / "suite.yaml").write_text(
        "name: noted\nmembers: {mine: ./model}\n"
        f"tasks: {{q: {{kind: mmlu, data: {shelf / 'mmlu'}, formats: [standard], shots: [0]}}}}\n"
    )
    remark = "config.json names code of its own (auto_map: modeling_mine.Mine), which is never run"
    assert f"About mine:\n  - {remark}" in archbench("run", "suite.yaml", "--dry-run")
    assert remark in " ".join(archbench("run", "suite.yaml", "--out", "out").split())
    assert remark in load_results(here / "out").manifest["members"][0]["remarks"][0]
    archbench("report", "out")
    page = (here / "out" / "report" / "report.md").read_text(encoding="utf-8")
    assert "mine: config.json names code of its own" in page
