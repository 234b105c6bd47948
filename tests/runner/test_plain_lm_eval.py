"""Our tasks by `archbench run` and by lm-eval itself: the same model, the same items, the same answers."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest
from lm_eval import simple_evaluate
from lm_eval.tasks import TaskManager

from archbench.paths import shared
from archbench.runner.execute import run_suite
from archbench.suite import load_suite
from tests.runner.tiny import LLAMA, save_model

MMLU = {"kind": "mmlu", "formats": ["standard", "choice_text", "cloze"], "shots": [2]}
PHONEBOOK = {"kind": "phonebook", "formats": ["standard", "reversed", "copy"], "entries": [9], "books": 2}
RULER = {
    "kind": "ruler",
    "tasks": ["niah_single_1", "niah_multikey_1", "fwe"],
    "lengths": [768],
    "samples": 2,
}


def hf(folder: Path) -> Any:
    """lm-eval's `hf` around the model in a folder."""
    with warnings.catch_warnings():
        # It imports accelerate and peft, which warn about themselves.
        warnings.simplefilter("ignore")
        from lm_eval.models.huggingface import HFLM

        return HFLM(pretrained=str(folder), device="cpu", batch_size=1, dtype="float32")


@pytest.mark.parametrize(
    ("entry", "metadata", "shots"),
    [
        (MMLU, {}, 2),
        (PHONEBOOK, {"entries": 9, "books": 2, "seed": 3}, None),
        (RULER, {"length": 768, "samples": 2, "seed": 3}, None),
    ],
    ids=["mmlu", "phonebook", "ruler"],
)
def test_both_give_the_same_answers_and_scores(
    entry: dict[str, Any], metadata: dict[str, Any], shots: int | None, shelf: Path, here: Path
) -> None:
    if entry["kind"] == "mmlu":
        entry, metadata = entry | {"data": str(shelf / "mmlu")}, {"data": str(shelf / "mmlu")}
    if entry["kind"] == "ruler":
        metadata = metadata | {"tokenizer": str(shelf / "llama")}
    # Far from uniform, so that prompts get different answers.
    model = save_model(here / "model", LLAMA | {"initializer_range": 0.5, "num_hidden_layers": 2})
    suite = {"name": "both", "members": {"llama": str(model)}, "tasks": {"task": entry}, "seed": 3}
    ours = run_suite(load_suite(suite), here / "out", quiet=True)
    assert {header.status for header in ours.headers} == {"complete"}
    kind = entry["kind"]
    tasks = [f"archbench_{kind}_{name}" for name in entry.get("formats") or entry["tasks"]]
    manager = TaskManager(include_path=str(shared("tasks")), include_defaults=False, metadata=metadata)
    with warnings.catch_warnings():
        # transformers says that generation settings and a length were both given.
        warnings.simplefilter("ignore")
        theirs = simple_evaluate(
            hf(model), tasks=tasks, num_fewshot=shots, task_manager=manager, bootstrap_iters=0
        )
    items = ours.items()
    answers: set[str] = set()
    for name, task in zip(entry.get("formats") or entry["tasks"], tasks, strict=True):
        mine = items[items["subject" if kind == "ruler" else "format"] == name]
        samples = {sample["doc"]["id"]: sample for sample in theirs["samples"][task]}
        assert set(mine["item"]) == set(samples)
        assert len(mine) == len(samples) >= 2
        for row in mine.to_dict("records"):
            sample = samples[row["item"]]
            if kind == "mmlu":
                lls = [one[0] for one in sample["filtered_resps"]]
                assert list(row["loglikelihoods"]) == pytest.approx(lls, abs=1e-4)
                answers |= {row["prediction"]}
            else:
                assert row["prediction"] == sample["filtered_resps"][0]
                answers |= {row["prediction"]}
        for metric in ours.headers[0].metrics:
            if metric != "acc_token":  # archbench's own
                assert theirs["results"][task][f"{metric},none"] == pytest.approx(mine[metric].mean())
    assert len(answers) > 1, "the model must answer items differently"
