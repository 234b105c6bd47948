"""Our formats against lm-eval's own MMLU tasks on the same data, and against a model that knows it all."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lm_eval.tasks
import pyarrow.parquet as pq
import pytest
from lm_eval import evaluate, simple_evaluate
from lm_eval.tasks import TaskManager
from lm_eval.tasks._yaml_loader import load_yaml

from archbench.paths import shared
from archbench.tasks.mmlu.subjects import CATEGORIES
from tests.doubles import Double

LM_EVAL_YAMLS = Path(lm_eval.tasks.__file__).parent / "mmlu"
# What mmlu_continuation has that MMLU's own prompt has not.
CONTINUATION = {
    "description": "The following are questions (with answers) about {subject}.",
    "question_prefix": "Question: ",
}
SHOTS = pytest.mark.parametrize("shots", [0, 5])
PAIRS = pytest.mark.parametrize(
    ("form", "yamls", "settings"), [("standard", "default", {}), ("cloze", "continuation", CONTINUATION)]
)


def read_jsonl(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]


def lm_eval_tasks(yamls: str, rows: dict[str, list[dict[str, Any]]], cache: Path) -> dict[str, Any]:
    """lm-eval's YAML of each subject in the rows, with nothing but the place of the data changed."""
    specs = []
    for subject in dict.fromkeys(row["subject"] for row in rows["test"]):
        files = {}
        for split in rows:
            files[split] = str(cache / f"{subject}-{split}.jsonl")
            mine = [row for row in rows[split] if row["subject"] == subject]
            Path(files[split]).write_text("".join(json.dumps(row) + "\n" for row in mine), encoding="utf-8")
        spec = load_yaml(LM_EVAL_YAMLS / yamls / f"mmlu_{subject}.yaml")
        local = {"data_files": files, "cache_dir": str(cache / "cache")}
        specs.append({**spec, "dataset_path": "json", "dataset_name": None, "dataset_kwargs": local})
    loaded: dict[str, Any] = TaskManager(include_defaults=False).load(specs)["tasks"]
    return loaded


@SHOTS
@PAIRS
def test_prompts_and_loglikelihoods_equal_lm_evals(
    form: str,
    yamls: str,
    settings: dict[str, str],
    shots: int,
    tricky: Path,
    tmp_path: Path,
    load_task: Callable[..., Any],
    tiny_lm: Any,
) -> None:
    rows = {split: read_jsonl(tricky / f"{split}.jsonl") for split in ("test", "dev")}
    theirs = lm_eval_tasks(yamls, rows, tmp_path)
    for task in theirs.values():
        task.set_config("num_fewshot", shots)
    mine = load_task(form, shots, data=str(tricky), **settings)
    name = mine.config.task
    results = [
        evaluate(lm=tiny_lm, task_dict={"tasks": tasks}, bootstrap_iters=0)["samples"]
        for tasks in (theirs, {name: mine})
    ]
    expected = [row for task in theirs for row in results[0][task]]
    got = results[1][name]
    assert len(got) == len(expected) == 6
    for ours, reference in zip(got, expected, strict=True):
        assert ours["arguments"] == reference["arguments"]
        assert ours["filtered_resps"] == reference["filtered_resps"]
        assert ours["target"] == reference["target"]
        assert ours["acc"] == reference["acc"]
        if yamls == "continuation":
            assert ours["acc_norm"] == reference["acc_norm"]
    assert len({str(row["filtered_resps"]) for row in got}) == 6, (
        "the model must answer the items differently"
    )


@pytest.mark.slow
@pytest.mark.skipif("ARCHBENCH_MMLU_DIR" not in os.environ, reason="ARCHBENCH_MMLU_DIR names no folder")
@SHOTS
@PAIRS
def test_prompts_equal_lm_evals_on_all_of_mmlu(
    form: str,
    yamls: str,
    settings: dict[str, str],
    shots: int,
    tmp_path: Path,
    load_task: Callable[..., Any],
    requests_of: Callable[[Any], list[tuple[str, str]]],
) -> None:
    folder = os.environ["ARCHBENCH_MMLU_DIR"]
    rows = {s: pq.read_table(Path(folder, f"{s}.parquet")).to_pylist() for s in ("test", "dev")}
    theirs = lm_eval_tasks(yamls, rows, tmp_path)
    for task in theirs.values():
        task.set_config("num_fewshot", shots)
    mine = load_task(form, shots, data=folder, **settings)
    assert len(theirs) == 57
    assert len({doc["id"] for doc in mine.eval_docs}) == len(rows["test"])
    assert {doc["category"] for doc in mine.eval_docs} == set(CATEGORIES)
    assert requests_of(mine) == [request for task in theirs.values() for request in requests_of(task)]


class KnowsItAll(Double):
    """Reads the prompt's last question, looks its answer up, and prefers (or shuns) that continuation."""

    def __init__(self, answers: dict[str, dict[str, Any]], *, letters: bool, liar: bool) -> None:
        super().__init__()
        self.answers, self.letters, self.liar = answers, letters, liar

    def loglikelihood(self, requests: list[Any], disable_tqdm: bool = False) -> list[tuple[float, bool]]:
        return [self._score(*request.args) for request in requests]

    def _score(self, context: str, continuation: str) -> tuple[float, bool]:
        row = self.answers[re.findall(r"What is item (\S+)\?", context)[-1]]
        gold = "ABCD"[row["answer"]] if self.letters else row["choices"][row["answer"]]
        return (-1.0, True) if (continuation == f" {gold}") != self.liar else (-1000.0, False)


@pytest.mark.parametrize("liar", [False, True])
@pytest.mark.parametrize("shots", [0, 3, 5])
@pytest.mark.parametrize("form", ["standard", "choice_text", "cloze"])
def test_knowing_the_answers_wins_everything(form: str, shots: int, liar: bool, plain_set: Path) -> None:
    rows = read_jsonl(plain_set / "test.jsonl")
    answers = {re.findall(r"item (\S+)\?", row["question"])[0]: row for row in rows}
    results = simple_evaluate(
        model=KnowsItAll(answers, letters=form == "standard", liar=liar),
        tasks=[f"archbench_mmlu_{form}"],
        num_fewshot=shots,
        bootstrap_iters=0,
        task_manager=TaskManager(
            include_path=str(shared("tasks")), include_defaults=False, metadata={"data": str(plain_set)}
        ),
    )
    task = f"archbench_mmlu_{form}"
    assert results["n-samples"][task]["effective"] == 12
    for metric in ("acc", "acc_norm"):
        assert results["results"][task][f"{metric},none"] == (0.0 if liar else 1.0)
    for row in results["samples"][task]:
        subject, context = row["doc"]["subject"], row["arguments"][0][0]
        shown = re.findall(r"What is item (dev-\S+)\?", context)
        assert shown == [f"dev-{subject}-{number}" for number in range(shots)]


def test_one_tag_stands_for_the_three_formats(plain_set: Path) -> None:
    manager = TaskManager(
        include_path=str(shared("tasks")), include_defaults=False, metadata={"data": str(plain_set)}
    )
    assert list(manager.load(["archbench_mmlu"])["tasks"]) == [
        "archbench_mmlu_choice_text",
        "archbench_mmlu_cloze",
        "archbench_mmlu_standard",
    ]
