"""A run folder is enough for its report, wherever it is moved and whatever the folder is called."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from archbench.errors import RequestError
from archbench.reporting import build_report
from archbench.results.frames import load_results
from archbench.runner.execute import run_suite
from archbench.suite import load_suite
from tests.runner.tiny import LLAMA, save_model, save_questions


@pytest.mark.parametrize("members", [["one"], ["one", "other"]])
def test_a_run_is_reported_after_it_was_moved(tmp_path: Path, members: list[str]) -> None:
    work = tmp_path / "my models #1: new"
    for seed, name in enumerate(members):
        save_model(work / f"{name} (v{seed}) #2", LLAMA, seed=seed)
    save_questions(work / "questions & answers #3")
    suite = {
        "name": "moved",
        "members": {name: str(work / f"{name} (v{seed}) #2") for seed, name in enumerate(members)},
        "tasks": {
            "quiz": {
                "kind": "mmlu",
                "data": str(work / "questions & answers #3"),
                "formats": ["standard"],
                "shots": [0],
            }
        },
        "allow_unmatched": True,
    }
    file = work / "suite #4.yaml"
    file.write_text(json.dumps(suite))
    run_suite(load_suite(file), work / "out #5", quiet=True)
    build_report(load_results(work / "out #5"), tmp_path / "before")
    moved = tmp_path / "an other place #6" / "run%20 'x'"
    moved.parent.mkdir()
    shutil.move(work / "out #5", moved)
    shutil.rmtree(work)
    files = build_report(load_results(moved), tmp_path / "after")
    page = files.page.read_text(encoding="utf-8")
    assert page == (tmp_path / "before" / "report.md").read_text(encoding="utf-8")
    for file in (tmp_path / "before").rglob("*.csv"):
        assert file.read_bytes() == (tmp_path / "after" / file.relative_to(tmp_path / "before")).read_bytes()
    assert "one" in page
    if len(members) == 1:
        assert "nothing to match: one alone" in page
        assert "is better than" not in page


def test_a_folder_without_a_run_is_named(tmp_path: Path) -> None:
    (tmp_path / "no run #1").mkdir()
    with pytest.raises(RequestError, match="no run #1"):
        load_results(tmp_path / "no run #1")
