"""What a suite sees of its task entries."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any

import pytest
from pydantic import Field, TypeAdapter, ValidationError

from archbench.errors import RequestError
from archbench.tasks.lm_eval import entry, index
from archbench.tasks.lm_eval.entry import LmEvalEntry
from archbench.tasks.mmlu.entry import MmluEntry

ENTRY: TypeAdapter[MmluEntry | LmEvalEntry] = TypeAdapter(
    Annotated[MmluEntry | LmEvalEntry, Field(discriminator="kind")]
)


def test_importing_entries_is_cheap() -> None:
    code = (
        "import sys, archbench.tasks;"
        "heavy = {'torch', 'transformers', 'lm_eval', 'datasets', 'pandas', 'pyarrow', 'numpy'};"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_mmlu_unfolds_into_formats_and_shots(plain_set: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(plain_set.parent)
    entry = ENTRY.validate_python({"kind": "mmlu", "data": "set", "limit": 2})
    variants = entry.variants()
    assert [v.name for v in variants] == [
        "standard-0shot",
        "standard-5shot",
        "choice_text-0shot",
        "choice_text-5shot",
        "cloze-0shot",
        "cloze-5shot",
    ]
    assert [v.metric for v in variants[::2]] == ["acc", "acc_norm", "acc_norm"]
    last = variants[-1]
    assert last.labels == {"format": "cloze", "shots": 5}
    assert last.work.tasks == ["archbench_mmlu_cloze"]
    assert (last.work.num_fewshot, last.chance, last.work.library) == (5, 0.25, False)
    assert last.work.metadata["data"] == str(plain_set)


def test_variant_loads_what_the_entry_says(plain_set: Path, load_task: Any, requests_of: Any) -> None:
    entry = MmluEntry(data=str(plain_set), subjects=["anatomy", "virology"], limit=3, question_prefix="Q: ")
    entry.check()
    (variant,) = [v for v in entry.variants() if v.name == "standard-5shot"]
    requests = requests_of(load_task("standard", variant.work.num_fewshot, **variant.work.metadata))
    assert len(requests) == 2 * 3 * 4
    assert requests[0][0].count("Q: What is item dev-virology-") == 5


def test_mmlu_check_finds_missing_shots(plain_set: Path) -> None:
    MmluEntry(data=str(plain_set)).check()
    with pytest.raises(RequestError, match=r"dev\.jsonl: 6 shots .* 'anatomy' has 5"):
        MmluEntry(data=str(plain_set), shots=[0, 6]).check()
    (plain_set / "dev.jsonl").unlink()
    MmluEntry(data=str(plain_set), shots=[0]).check()
    with pytest.raises(RequestError, match="5 shots are requested, but subject 'anatomy' has 0"):
        MmluEntry(data=str(plain_set)).check()


def test_shots_are_checked_without_a_suite_too(plain_set: Path, load_task: Any, requests_of: Any) -> None:
    with pytest.raises(RequestError, match="6 shots are requested, but subject 'virology' has 5"):
        requests_of(load_task("cloze", 6, data=str(plain_set)))
    (plain_set / "dev.jsonl").unlink()
    assert len(requests_of(load_task("cloze", 0, data=str(plain_set)))) == 48


def test_task_without_data_says_what_to_pass(load_task: Any) -> None:
    with pytest.raises(RequestError, match="--metadata"):
        load_task("cloze", 0)


def test_mmlu_notes_tell_what_stands_out(plain_set: Path) -> None:
    assert not MmluEntry(data=str(plain_set)).notes()
    text = (plain_set / "test.jsonl").read_text(encoding="utf-8")
    (plain_set / "test.jsonl").write_text(text.replace('"virology"', '"viruses"'), encoding="utf-8")
    (note,) = MmluEntry(data=str(plain_set), shots=[0]).notes()
    assert "reported as 'unlisted': viruses." in note


def test_mmlu_digest_follows_what_changes_answers(plain_set: Path) -> None:
    base = MmluEntry(data=str(plain_set))
    same = [
        MmluEntry(data=str(plain_set) + "/", shots=[0]),
        MmluEntry(data=str(plain_set), formats=["cloze"]),
        MmluEntry(data=str(plain_set), limit=99),
        MmluEntry(data=str(plain_set), subjects=["anatomy", "sociology", "virology"]),
    ]
    other = [
        MmluEntry(data=str(plain_set), limit=1),
        MmluEntry(data=str(plain_set), subjects=["anatomy"]),
        MmluEntry(data=str(plain_set), description=False),
        MmluEntry(data=str(plain_set), description="About {subject}:"),
        MmluEntry(data=str(plain_set), question_prefix="Question: "),
    ]
    assert {entry.digest() for entry in same} == {base.digest()}
    before = {entry.digest() for entry in [base, *other]}
    assert len(before) == 6
    text = (plain_set / "dev.jsonl").read_text(encoding="utf-8")
    (plain_set / "dev.jsonl").write_text(text.replace("option a", "option z", 1), encoding="utf-8")
    assert base.digest() not in before


@pytest.mark.parametrize(
    ("settings", "where"),
    [
        ({"formats": ["standart"]}, "formats"),
        ({"formats": []}, "formats"),
        ({"formats": ["cloze", "cloze"]}, "'cloze' is listed more than once"),
        ({"shots": [-1]}, "shots"),
        ({"shots": [5, 5]}, "5 is listed more than once"),
        ({"limit": 0}, "limit"),
        ({"subjects": []}, "subjects"),
        ({"data": ""}, "data"),
        ({"shot": [5]}, "shot"),
    ],
)
def test_wrong_mmlu_settings(settings: dict[str, Any], where: str) -> None:
    with pytest.raises(ValidationError, match=where):
        MmluEntry.model_validate({"kind": "mmlu", "data": "folder", **settings})


@pytest.fixture
def small_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """lm-eval's task index, over a handful of YAMLs."""
    from lm_eval.tasks import TaskManager

    for name, text in {
        "qa": "task: qa\ntag: easy\nmetric_list:\n  - metric: exact_match\n  - metric: f1\n",
        "choice": "task: choice\noutput_type: multiple_choice\n",
        "scripted": "task: scripted\nclass: !function nowhere.Scripted\n",
        "own": "task: own\nmetric_list:\n  - metric: !function utils.wer\n",
        "both": "group: both\ntask:\n  - group: inner\n    task:\n      - qa\n  - choice\n",
        "written_out": "group: written_out\ntask:\n  - dataset_path: somewhere\n",
    }.items():
        (tmp_path / f"{name}.yaml").write_text(text)
    entries = TaskManager(include_path=str(tmp_path), include_defaults=False).task_index
    for module in (entry, index):
        monkeypatch.setattr(module, "task_index", lambda folders=(): entries)


@pytest.mark.usefixtures("small_index")
def test_lm_eval_tasks_unfold_into_tasks_and_shots() -> None:
    entry = ENTRY.validate_python({"kind": "lm_eval", "tasks": ["qa", "choice"], "num_fewshot": [0, 5]})
    entry.check()
    assert [(v.name, v.labels, v.metric) for v in entry.variants()] == [
        ("qa-0shot", {"name": "qa", "shots": 0}, "exact_match"),
        ("qa-5shot", {"name": "qa", "shots": 5}, "exact_match"),
        ("choice-0shot", {"name": "choice", "shots": 0}, "acc"),
        ("choice-5shot", {"name": "choice", "shots": 5}, "acc"),
    ]
    assert all(v.work.library and v.work.metadata == {} and v.chance is None for v in entry.variants())


@pytest.mark.usefixtures("small_index")
@pytest.mark.parametrize(
    ("task", "metric"), [("easy", "exact_match"), ("both", "exact_match"), ("own", "wer"), ("choice", "acc")]
)
def test_metric_is_the_first_that_is_declared(task: str, metric: str) -> None:
    (variant,) = LmEvalEntry(tasks=[task]).variants()
    assert (variant.name, variant.work.num_fewshot, variant.metric) == (task, None, metric)
    assert variant.labels == {"name": task}


@pytest.mark.usefixtures("small_index")
@pytest.mark.parametrize("task", ["scripted", "written_out"])
def test_undeclared_metric_has_to_be_named(task: str) -> None:
    with pytest.raises(RequestError, match=f"'{task}' does not declare its metrics .* `metric`"):
        LmEvalEntry(tasks=[task]).check()
    LmEvalEntry(tasks=[task], metric="f1").check()


@pytest.mark.usefixtures("small_index")
def test_unknown_lm_eval_task() -> None:
    with pytest.raises(RequestError, match=r"no task, group or tag 'choise'\. Did you mean 'choice'\?"):
        LmEvalEntry(tasks=["qa", "choise"], metric="acc").check()


def test_wrong_lm_eval_settings() -> None:
    for wrong in ({"tasks": []}, {"tasks": ["a b", "a_b"]}, {"tasks": ["a"], "num_fewshot": [-1]}):
        with pytest.raises(ValidationError):
            LmEvalEntry.model_validate(wrong)


def test_lm_eval_digest_follows_the_limit() -> None:
    base = LmEvalEntry(tasks=["a"])
    assert base.digest() == LmEvalEntry(tasks=["b"], num_fewshot=5).digest()
    assert base.digest() != LmEvalEntry(tasks=["a"], limit=3).digest()


@pytest.mark.slow
def test_lm_evals_own_names_are_found() -> None:
    entry = LmEvalEntry(tasks=["mmlu", "arc_easy", "gsm8k", "lambada_openai"])
    assert [v.metric for v in entry.variants()] == ["acc", "acc", "exact_match", "perplexity"]
    refused = {"wikitext": "nothing that it measures is one", "lambada_openai": r"--set ENTRY\.metric=acc"}
    for task, what in refused.items():
        with pytest.raises(RequestError, match=rf"'{task}': .* {what}.* `kind: perplexity`"):
            LmEvalEntry(tasks=[task]).check()
    with pytest.raises(RequestError, match="runs programs"):
        LmEvalEntry(tasks=["humaneval"]).check()
