"""Models that give no numbers: their cells fail with the reason, the others go on, the report states it."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from lm_eval import simple_evaluate
from lm_eval.tasks import TaskManager
from transformers import AutoModelForCausalLM
from typer.testing import CliRunner

from archbench.cli.app import app
from archbench.errors import RunError
from archbench.paths import shared
from archbench.results.frames import load_results
from tests.doubles import Double
from tests.evaluation import evaluate_variant
from tests.runner.test_evaluate import CHOICE, GENERATE, Parrot, variant
from tests.runner.tiny import LLAMA, MAMBA, save_model, save_questions


def spoil(folder: Path, change: Callable[[Any], None]) -> Path:
    """Change a saved model's weights."""
    model = AutoModelForCausalLM.from_pretrained(folder)
    with torch.no_grad():
        change(model)
    model.save_pretrained(folder)
    return folder


def overflow(model: Any) -> None:
    """Make activations too large for float16, and no weight."""
    for name, weight in model.named_parameters():
        if name.endswith(("gate_proj.weight", "up_proj.weight", "in_proj.weight", "out_proj.weight")):
            weight *= 1e5


@pytest.mark.parametrize("architecture", [LLAMA, MAMBA], ids=["llama", "mamba2"])
def test_overflow_fails_every_cell_and_the_others_go_on(architecture: dict[str, Any], tmp_path: Path) -> None:
    spoil(save_model(tmp_path / "big", architecture), overflow)
    save_model(tmp_path / "fine", LLAMA, seed=1)
    content = {
        "name": "both",
        "members": {"big": str(tmp_path / "big"), "fine": str(tmp_path / "fine")},
        "tasks": {
            "mmlu": {
                "kind": "mmlu",
                "data": str(save_questions(tmp_path / "mmlu")),
                "formats": ["cloze"],
                "shots": [0],
            },
            "phonebook": {"kind": "phonebook", "entries": [8], "books": 2},
        },
        "engine": {"device": "cpu", "dtype": "float16"},
        "allow_unmatched": True,
    }
    (tmp_path / "both.yaml").write_text(yaml.safe_dump(content))
    out = tmp_path / "out"
    done = CliRunner().invoke(app, ["run", str(tmp_path / "both.yaml"), "--out", str(out)])
    assert done.exit_code == 1, done.output
    headers = load_results(out).headers
    states = {(header.member, header.status) for header in headers}
    assert states == {("big", "failed"), ("fine", "complete")}
    for header in headers:
        if header.member == "big":
            assert "logits are not finite in float16" in (header.error or "")
            assert "bfloat16 or float32" in (header.error or "")
    assert "logits are not finite in float16" in " ".join(done.output.split())
    assert CliRunner().invoke(app, ["report", str(out)]).exit_code == 0
    assert "logits are not finite in float16" in (out / "report/tables/accuracy.md").read_text()
    wider = ["--set", "engine.dtype=float32", "--out", str(tmp_path / "wide")]
    done = CliRunner().invoke(app, ["run", str(tmp_path / "both.yaml"), *wider])
    assert done.exit_code == 0, done.output


class Broken(Parrot):
    """Answers as told, and says nothing that is a number."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = value

    def loglikelihood(self, requests: Any) -> list[tuple[float, bool]]:
        return [(self.value, False), *super().loglikelihood(requests)[1:]]

    def loglikelihood_rolling(self, requests: Any) -> list[float]:
        return [self.value] * len(requests)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # lm-eval's own
@pytest.mark.parametrize("value", [math.nan, -math.inf, math.inf])
def test_no_choice_is_made_among_what_is_no_number(value: float) -> None:
    with pytest.raises(RunError, match=r"'loglikelihoods' of item 0 of choice is -?(nan|inf)"):
        evaluate_variant(Broken(value), variant(CHOICE | {"task": "choice"}), limit=None, seed=0)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_metric_that_is_no_number_is_named_as_such(value: float) -> None:
    def metric(doc: Any, results: Any) -> dict[str, float]:
        return {"exact_match": value}

    with pytest.raises(RunError, match=r"'exact_match' of item 0 of write is (nan|inf)"):
        evaluate_variant(
            Parrot(),
            variant(GENERATE | {"process_results": metric}, metric="exact_match"),
            limit=None,
            seed=0,
        )


class NotANumber(Double):
    """One log-likelihood of each call is none."""

    def loglikelihood(self, requests: list[Any], disable_tqdm: bool = False) -> list[tuple[float, bool]]:
        return [(math.nan, False)] + [(-1.0, False)] * (len(requests) - 1)


def test_plain_lm_eval_gets_no_score_of_our_tasks_either(tmp_path: Path) -> None:
    data = save_questions(tmp_path / "mmlu")
    tasks = "archbench_mmlu_cloze"
    manager = TaskManager(
        include_path=str(shared("tasks")), include_defaults=False, metadata={"data": str(data)}
    )
    found = simple_evaluate(
        NotANumber(), tasks=[tasks], num_fewshot=0, task_manager=manager, bootstrap_iters=0
    )
    assert found is not None
    scores = [found["results"][tasks][f"{metric},none"] for metric in ("acc", "acc_norm")]
    assert all(math.isnan(score) for score in scores)
