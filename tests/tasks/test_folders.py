"""Local files for lm-eval's own tasks: rows that contradict themselves or each other, copies, and bases."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from lm_eval.tasks import TaskManager
from pydantic import ValidationError

from archbench.errors import RequestError
from archbench.tasks.lm_eval import index
from archbench.tasks.lm_eval.entry import LmEvalEntry
from tests import evaluation as evaluate
from tests.tasks.test_standard_twelve import FOLDERS, HOME, Recorder
from tests.tasks.twelve import TWELVE


@pytest.fixture(scope="module")
def manager(tmp_path_factory: pytest.TempPathFactory) -> TaskManager:
    own = tmp_path_factory.mktemp("own")
    (own / "unknown.yaml").write_text(
        "task: unknown\ndataset_path: somewhere\ntest_split: test\noutput_type: multiple_choice\n"
        "doc_to_text: '{{q}}'\ndoc_to_choice: ['a', 'b']\ndoc_to_target: label\n"
    )
    folders = [str(HOME / folder) for folder in (*FOLDERS, "race", "nq_open", "squadv2")]
    return TaskManager(include_path=[*folders, str(own)], include_defaults=False)


@pytest.fixture(autouse=True)
def _small_index(manager: TaskManager, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(index, "task_manager", lambda include=(): manager)
    return


def write(folder: Path, **splits: list[dict[str, Any]]) -> str:
    for split, rows in splits.items():
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / f"{split}.jsonl").write_text(text, encoding="utf-8")
    return str(folder)


def entry(task: str, folder: str, **more: Any) -> LmEvalEntry:
    metric = TWELVE[task].metric if task in TWELVE else "acc"
    return LmEvalEntry.model_validate({"tasks": [task], "data": folder, "metric": metric} | more)


def rows_of(task: str) -> list[dict[str, Any]]:
    """The evaluated rows of a task, to be changed."""
    return json.loads(json.dumps(next(iter(TWELVE[task].splits.values()))))  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("task", "change", "message"),
    [
        ("arc_easy", {"answerKey": "E"}, "`answerKey` is 'E', which is none of the labels A, B, C, D"),
        ("arc_easy", {"choices": {"text": ["x", "y"], "label": ["A"]}}, "2 texts and 1 label"),
        ("openbookqa", {"choices": {"text": ["x", "y"], "label": ["A", "A"]}}, "label twice"),
        ("hellaswag", {"endings": ["x", "y"], "label": "3"}, "there are 2 `endings`"),
        ("truthfulqa_mc1", {"mc1_targets": {"choices": ["x", "y"], "labels": [0, 1]}}, "1 for the first"),
        ("truthfulqa_mc2", {"mc2_targets": {"choices": ["x", "y"], "labels": [1, 1]}}, "then 0s"),
        ("race", {"problems": "not a list"}, "`problems` must be the text of a list"),
        ("mmlu_anatomy", {"A": "a", "B": "other", "C": "c", "D": "d"}, "column 'B' has 'other'"),
        ("mmlu_anatomy", {"B": "other"}, "column 'B' has 'other'"),
        ("mmlu_anatomy", {"E": "e"}, "column 'E' has 'e', and `choices` has 4 options"),
    ],
)
def test_a_row_that_contradicts_itself(
    task: str, change: dict[str, Any], message: str, tmp_path: Path
) -> None:
    split = next(iter(TWELVE[task].splits))
    rows = rows_of(task)
    rows[0] |= change
    folder = write(tmp_path, **{split: rows})
    with pytest.raises(RequestError, match=rf"split {split}, row 1: .*{message}"):
        entry(task, folder).check()


def test_rows_with_other_columns_or_kinds(tmp_path: Path) -> None:
    folder = write(tmp_path, test=[{"q": "x", "label": 0}, {"q": "y", "label": 1, "more": 1}])
    with pytest.raises(RequestError, match="row 2 has the column 'more', which row 1 has not"):
        entry("unknown", folder).check()
    write(tmp_path, test=[{"q": "x", "label": 0, "more": 1}, {"q": "y", "label": 1}])
    with pytest.raises(RequestError, match="row 2 has no column 'more', which row 1 has"):
        entry("unknown", folder).check()
    write(tmp_path, test=[{"q": "x", "label": 0}, {"q": "y", "label": "1"}])
    with pytest.raises(RequestError, match="'label' has values of several kinds: int in row 1, str"):
        entry("unknown", folder).check()
    hellaswag = rows_of("hellaswag")
    hellaswag[1]["label"] = 1
    with pytest.raises(RequestError, match="'label' has values of several kinds: str in row 1, int in row 2"):
        entry("hellaswag", write(tmp_path, validation=hellaswag)).check()


def test_copies_and_shown_questions_are_reported(tmp_path: Path) -> None:
    first, second = rows_of("piqa")
    folder = write(tmp_path, validation=[first, second, {**first, "label": 1}], train=[first, second])
    with pytest.raises(RequestError, match="split train holds the same questions as data of 'piqa', split"):
        entry("piqa", folder, num_fewshot=1).check()
    entry("piqa", folder, num_fewshot=0).check()
    write(tmp_path, train=[first, {**second, "goal": "Else"}])
    found = entry("piqa", folder, num_fewshot=1).notes()
    assert len(found) == 2
    assert found[0].startswith(
        "1 of 3 evaluated questions are copies of others (the first: piqa:0 and piqa:2)"
    )
    assert "Copies of 1 differ in the right answer" in found[0]
    assert (
        "2 of 3 evaluated questions are also among the examples of split train (piqa:0, piqa:2)" in found[1]
    )


def test_white_space_and_case_make_no_other_question(tmp_path: Path) -> None:
    first, second = rows_of("piqa")
    moved = {**first, "goal": f" {first['goal'].upper()}", "sol1": first["sol1"].replace(" ", "  ")}
    folder = write(tmp_path, validation=[first, second], train=[second, moved])
    with pytest.raises(RequestError, match="split train holds the same questions"):
        entry("piqa", folder, num_fewshot=1).check()
    write(tmp_path, train=[{**first, "goal": "Else"}, {**moved, "goal": "ELSE "}, {**second, "goal": "More"}])
    (note,) = entry("piqa", folder, num_fewshot=1).notes()
    assert note.startswith("1 of 3 examples of split train are copies of others (the first: row 1 and row 2)")
    assert not entry("piqa", folder, num_fewshot=0).notes()


def test_equal_options_and_copies_with_other_numbers_are_reported(tmp_path: Path) -> None:
    row = rows_of("squadv2")[0]
    (note,) = entry("squadv2", write(tmp_path, validation=[row, {**row, "id": "other"}])).notes()
    assert "copies of others" in note
    rows = rows_of("winogrande")
    rows[0]["option1"] = rows[0]["option2"]
    (note,) = entry("winogrande", write(tmp_path, validation=rows)).notes()
    assert note.startswith("1 of 3 questions of 'winogrande' have two options with the same text")


@pytest.mark.parametrize(
    ("task", "column", "values", "base"),
    [
        ("piqa", "label", [1, 1], 0),
        ("hellaswag", "label", ["1", "2", "3"], 0),
        ("winogrande", "answer", ["1", "1", "1"], 1),
        ("mmlu_anatomy", "answer", [1, 3], 0),
    ],
)
def test_answers_that_may_be_counted_otherwise(
    task: str, column: str, values: list[Any], base: int, tmp_path: Path
) -> None:
    split = next(iter(TWELVE[task].splits))
    rows = [row for row in rows_of(task) if row.get("subject", "anatomy") == "anatomy"]
    assert len(rows) == len(values)
    changed = [row | {column: value} for row, value in zip(rows, values, strict=True)]
    folder = write(tmp_path, **{split: changed})
    plain = entry(task, folder)
    (note,) = plain.notes()
    assert f"read as counted from {base}" in note
    assert f"--set ENTRY.answer_base={1 - base}" in note
    other = entry(task, folder, answer_base=1 - base)
    other.check()
    assert not other.notes()
    assert not entry(task, folder, answer_base=base).notes()
    assert plain.digest() != other.digest()
    for one, shift in ((plain, 0), (other, 2 * base - 1)):
        found = evaluate.evaluate_variant(Recorder(), one.variants()[0], limit=None, seed=0)
        wanted = [str(int(value) - base + shift) for value in values]
        assert [row["target"] for row in found.rows] == wanted


def test_a_base_belongs_to_local_answers_that_are_numbers(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="answer_base is for local files"):
        LmEvalEntry(tasks=["piqa"], answer_base=1)
    folder = write(tmp_path, test=rows_of("arc_easy"))
    with pytest.raises(RequestError, match="'arc_easy' are not known to be numbers of options"):
        entry("arc_easy", folder, answer_base=1).check()
    folder = write(tmp_path, validation=rows_of("piqa"))
    message = (
        "row 1, column 'label': with answer_base: 1, one of 0, 1 is expected, each one more, but it is 0"
    )
    with pytest.raises(RequestError, match=message):
        entry("piqa", folder, answer_base=1).check()
