"""The evaluator as the runner uses it: shots, seeds, limits, metrics, silence; with a model made of rules."""

from __future__ import annotations

import logging
import random
from typing import Any

import datasets
import lm_eval.api.task
import pytest
from lm_eval.api.model import LM

from archbench.errors import RunError
from archbench.tasks.entry import Variant
from archbench.tasks.work import LmEval
from tests.evaluation import evaluate_variant


class Parrot(LM):  # type: ignore[misc]
    """Likes short continuations and answers with the last word of the prompt."""

    def __init__(self) -> None:
        super().__init__()
        self.prompts: list[str] = []

    def loglikelihood(self, requests: Any) -> list[tuple[float, bool]]:
        self.prompts += [request.args[0] for request in requests]
        return [(-float(len(request.args[1])), False) for request in requests]

    def loglikelihood_rolling(self, requests: Any) -> list[float]:
        return [-float(len(request.args[0])) for request in requests]

    def generate_until(self, requests: Any) -> list[str]:
        return [request.args[0].split()[-1] for request in requests]


def documents(**_: Any) -> dict[str, datasets.Dataset]:
    rows = [
        {"question": f"Repeat {word}", "choices": [word, word * 2], "answer": word}
        for word in ("a", "bb", "ccc", "dddd")
    ]
    return {"test": datasets.Dataset.from_list(rows), "dev": datasets.Dataset.from_list(rows)}


BASE: dict[str, Any] = {
    "custom_dataset": documents,
    "test_split": "test",
    "fewshot_split": "dev",
    "doc_to_text": "{{question}}",
    "doc_to_target": "{{answer}}",
}
CHOICE = BASE | {"task": "choice", "output_type": "multiple_choice", "doc_to_choice": "choices"}
GENERATE = BASE | {
    "task": "write",
    "output_type": "generate_until",
    "metric_list": [{"metric": "exact_match", "aggregation": "mean", "higher_is_better": True}],
}


def variant(*tasks: dict[str, Any], shots: int | None = 0, metric: str = "acc") -> Variant:
    return Variant("v", {}, LmEval(list(tasks), shots), metric)


def test_multiple_choice() -> None:
    found = evaluate_variant(Parrot(), variant(CHOICE), limit=None, seed=0)
    assert [row["target"] for row in found.rows] == ["0"] * 4
    assert found.metrics == ("acc", "acc_norm", "acc_token")
    assert [row["acc"] for row in found.rows] == [1.0] * 4
    assert [row["acc_token"] for row in found.rows] == [None] * 4
    assert found.aggregates["choice"]["acc,none"] == 1.0


def test_generation() -> None:
    found = evaluate_variant(Parrot(), variant(GENERATE, metric="exact_match"), limit=2, seed=0)
    assert [(row["prediction"], row["target"], row["exact_match"]) for row in found.rows] == [
        ("a", "a", 1.0),
        ("bb", "bb", 1.0),
    ]


def test_several_tasks_are_told_apart() -> None:
    other = CHOICE | {"task": "other"}
    found = evaluate_variant(Parrot(), variant(CHOICE, other), limit=2, seed=0)
    assert [(row["subject"], row["doc"]) for row in found.rows] == [
        ("choice", 0),
        ("choice", 1),
        ("other", 0),
        ("other", 1),
    ]


def prompts(seed: int) -> list[str]:
    parrot = Parrot()
    evaluate_variant(parrot, variant(CHOICE, shots=2), limit=None, seed=seed)
    return parrot.prompts


def test_shots_depend_on_the_seed_and_on_nothing_else() -> None:
    first = prompts(0)
    random.seed(99)
    assert prompts(0) == first
    assert any(prompts(seed) != first for seed in (1, 2, 3))


def test_shots_that_a_task_refuses_are_an_error() -> None:
    fixed = CHOICE | {"num_fewshot": 0}
    assert evaluate_variant(Parrot(), variant(fixed, shots=None), limit=1, seed=0).rows
    with pytest.raises(RunError, match="'choice' fixes its number of shots to 0"):
        evaluate_variant(Parrot(), variant(fixed, shots=5), limit=1, seed=0)


def test_a_metric_that_is_none_of_single_items_is_an_error() -> None:
    with pytest.raises(RunError, match=r"The metric 'acc_nrm' .*Did you mean 'acc_norm'\?"):
        evaluate_variant(Parrot(), variant(CHOICE, metric="acc_nrm"), limit=1, seed=0)


def test_it_is_silent_and_leaves_no_trace(capfd: pytest.CaptureFixture[str]) -> None:
    before = lm_eval.api.task.tqdm, logging.getLogger("lm_eval").level, datasets.are_progress_bars_disabled()
    with pytest.raises(RunError):
        evaluate_variant(Parrot(), variant(CHOICE, metric="none"), limit=1, seed=0)
    evaluate_variant(Parrot(), variant(CHOICE), limit=1, seed=0)
    after = lm_eval.api.task.tqdm, logging.getLogger("lm_eval").level, datasets.are_progress_bars_disabled()
    assert after == before
    assert capfd.readouterr() == ("", "")
