"""`include_path`: a user's own task YAMLs next to lm-eval's."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import archbench
from archbench.errors import RequestError
from archbench.tasks.lm_eval.entry import LmEvalEntry
from tests.runner.tiny import save_shelf

YAML = """\
task: shapes
dataset_path: json
dataset_kwargs: {{data_files: {{test: {data}}}}}
output_type: multiple_choice
test_split: test
doc_to_text: "{{{{question}}}}\\nAnswer:"
doc_to_target: answer
doc_to_choice: "{{{{choices}}}}"
metric_list:
  - {{metric: acc}}
"""


@pytest.fixture
def tasks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with one task and its data, next to a suite."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "own tasks"
    folder.mkdir()
    rows = [
        {"question": f"How many sides has shape {n}?", "choices": ["3", "4"], "answer": n % 2}
        for n in range(6)
    ]
    (folder / "data.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    (folder / "shapes.yaml").write_text(
        YAML.format(data=json.dumps(str(folder / "data.jsonl"))), encoding="utf-8"
    )
    return folder


def entry(folder: Path, *names: str) -> LmEvalEntry:
    return LmEvalEntry(tasks=list(names) or ["shapes"], include_path=str(folder))


def test_a_task_of_ones_own_is_run_and_reported(tasks: Path, tmp_path: Path) -> None:
    save_shelf(tmp_path)
    content = {
        "name": "own",
        "members": {"a": str(tmp_path / "llama"), "b": str(tmp_path / "mamba")},
        "tasks": {"mine": {"kind": "lm_eval", "tasks": ["shapes"], "include_path": "own tasks"}},
        "allow_unmatched": True,
    }
    results = archbench.run(content, quiet=True)
    assert [(one.status, one.items, one.metric) for one in results.headers] == [("complete", 6, "acc")] * 2
    assert results.items()["item"].str.startswith("shapes:").all()
    keys = {one.key for one in results.headers}
    with (tasks / "data.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps({"question": "And a star?", "choices": ["3", "4"], "answer": 0}) + "\n")
    again = archbench.run(content, quiet=True, overwrite=True)
    assert not keys & {one.key for one in again.headers}, "changed data are another cell"
    assert {one.items for one in again.headers} == {7}


def test_lm_evals_own_tasks_stand_next_to_it(tasks: Path) -> None:
    entry(tasks, "shapes").check()
    assert [one.metric for one in entry(tasks, "shapes", "piqa").variants()] == ["acc", "acc"]
    with pytest.raises(RequestError, match=r"no task, group or tag 'shape'.*Did you mean 'shapes'"):
        entry(tasks, "shape").check()


def test_a_name_that_lm_eval_has_too_is_refused(tasks: Path) -> None:
    (tasks / "shapes.yaml").write_text(
        (tasks / "shapes.yaml").read_text(encoding="utf-8").replace("task: shapes", "task: piqa"),
        encoding="utf-8",
    )
    with pytest.raises(
        RequestError, match="has a task, group or tag called 'piqa', which lm-eval or another folder has too"
    ):
        entry(tasks, "piqa").check()


def test_folders_without_tasks_are_refused(tasks: Path, tmp_path: Path) -> None:
    with pytest.raises(
        RequestError, match=r"include_path: there is no folder .*own task\. Did you mean .*own tasks"
    ):
        entry(tmp_path / "own task").check()
    (tmp_path / "empty").mkdir()
    with pytest.raises(RequestError, match=r"holds no \*\.yaml"):
        entry(tmp_path / "empty").check()


def test_the_digest_is_of_everything_in_the_folder(tasks: Path) -> None:
    before = entry(tasks).digest()
    (tasks / "__pycache__").mkdir()
    (tasks / "__pycache__" / "x.pyc").write_bytes(b"1")
    assert entry(tasks).digest() == before
    (tasks / "helper.py").write_text("X = 1\n", encoding="utf-8")
    assert entry(tasks).digest() != before


def test_a_tag_does_not_take_the_name_of_a_task(tasks: Path) -> None:
    text = (tasks / "shapes.yaml").read_text(encoding="utf-8")
    (tasks / "shapes.yaml").write_text(f"{text}tag: piqa\n", encoding="utf-8")
    with pytest.raises(RequestError, match="has a task, group or tag called 'piqa'"):
        entry(tasks, "piqa").check()


def test_one_name_in_two_files_is_refused(tasks: Path) -> None:
    (tasks / "again.yaml").write_text((tasks / "shapes.yaml").read_text(encoding="utf-8"), encoding="utf-8")
    with pytest.raises(RequestError, match=r"shapes\.yaml and .*again\.yaml both name 'shapes'"):
        entry(tasks).check()
