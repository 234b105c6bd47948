"""lm-eval tasks that cannot be evaluated as they are: refused with the plan, and what to do instead."""

from __future__ import annotations

from pathlib import Path

import pytest

from archbench.errors import RequestError
from archbench.results.store import Store
from archbench.runner.plan import make_plan
from archbench.suite import load_suite
from archbench.tasks.lm_eval import index
from archbench.tasks.lm_eval.entry import LmEvalEntry

YAMLS = {
    "lambada": "output_type: loglikelihood\nmetric_list:\n  - metric: perplexity\n  - metric: acc\n",
    "rolling": "output_type: loglikelihood_rolling\nmetric_list:\n  - metric: word_perplexity\n",
    "own_rolling": (
        "output_type: loglikelihood_rolling\nprocess_results: !function code.results\n"
        "metric_list:\n  - metric: bits_per_byte\n"
    ),
    "choice": "output_type: multiple_choice\nmetric_list:\n  - metric: acc\n  - metric: mcc\n",
    "translation": "output_type: generate_until\nmetric_list:\n  - metric: bleu\n",
    "filtered": (
        "output_type: generate_until\nmetric_list:\n  - metric: exact_match\n"
        "filter_list:\n  - name: strict\n  - name: loose\n"
    ),
    "program": "output_type: generate_until\nunsafe_code: true\nmetric_list:\n  - metric: exact_match\n",
    "picture": "output_type: generate_until\ndoc_to_image: image\nmetric_list:\n  - metric: exact_match\n",
    "no_shots": "output_type: multiple_choice\nnum_fewshot: 0\n",
    "beams": "output_type: generate_until\ngeneration_kwargs: {num_beams: 10, until: x}\n",
    "one_beam": "output_type: generate_until\ngeneration_kwargs: {num_beams: 1, until: null}\n",
    "no_stop": "output_type: generate_until\ngeneration_kwargs: {until: [null]}\n",
    "broken": "output_type: multiple_choice\ndoc_to_text: !function broken.text\n",
}


@pytest.fixture(autouse=True)
def _index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from lm_eval.tasks import TaskManager

    folder = tmp_path / "yamls"
    folder.mkdir()
    for name, text in YAMLS.items():
        (folder / f"{name}.yaml").write_text(f"task: {name}\n{text}")
    (folder / "mixed.yaml").write_text("group: mixed\ntask: [choice, filtered]\n")
    (folder / "code.py").write_text("def results(doc, results):\n    return {}\n")
    (folder / "broken.py").write_text("raise LookupError('no such resource')\n")
    manager = TaskManager(include_path=str(folder), include_defaults=False)
    monkeypatch.setattr(index, "task_manager", lambda include=(): manager)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"tasks": ["lambada"]}, r"'perplexity' is no score .*metric=acc\. .*`kind: perplexity`"),
        ({"tasks": ["rolling"]}, r"nothing that it measures is one\. .*`kind: perplexity`"),
        ({"tasks": ["own_rolling"]}, r"'bits_per_byte' is no score .*`kind: perplexity`"),
        ({"tasks": ["choice"], "metric": "mcc"}, "'mcc' is no score .* acc, acc_token: name one"),
        ({"tasks": ["choice"], "metric": "exact_match"}, "'exact_match' is no score .* are acc"),
        ({"tasks": ["translation"]}, "'bleu' is no score .* nothing that it measures is one"),
        ({"tasks": ["filtered"], "metric": "exact_match,strict"}, "exact_match, exact_match,loose"),
        ({"tasks": ["mixed"]}, "'filtered': the metric 'acc' is no score"),
        ({"tasks": ["program"]}, "'program' runs programs"),
        ({"tasks": ["picture"]}, "'picture' has images"),
        ({"tasks": ["no_shots"], "num_fewshot": [0, 2]}, "'no_shots' fixes its number of shots to 0"),
        ({"tasks": ["broken"]}, r"code of lm-eval's task 'broken' .*LookupError: no such resource"),
    ],
)
def test_what_no_member_could_answer(settings: dict[str, object], message: str) -> None:
    with pytest.raises(RequestError, match=message):
        LmEvalEntry.model_validate(settings).check()


@pytest.mark.parametrize(
    "settings",
    [
        {"tasks": ["lambada"], "metric": "acc"},
        {"tasks": ["choice"], "metric": "acc_token"},
        {"tasks": ["filtered"]},
        {"tasks": ["filtered"], "metric": "exact_match,loose"},
        {"tasks": ["own_rolling"], "metric": "mine"},
        {"tasks": ["no_shots"], "num_fewshot": 0},
    ],
)
def test_what_is_supported_is_accepted(settings: dict[str, object]) -> None:
    LmEvalEntry.model_validate(settings).check()


@pytest.mark.parametrize(
    ("task", "message"),
    [
        ("beams", "tasks.odd: lm-eval's task 'beams': the generation setting 'num_beams' is not supported"),
        ("no_stop", r"'until' is \[None\]"),
    ],
)
def test_generation_settings_are_read_with_the_plan(
    task: str, message: str, here: Path, tmp_path: Path
) -> None:
    suite = {
        "name": "odd",
        "members": {"far": {"hub": "someone/far-away"}},
        "tasks": {"odd": {"kind": "lm_eval", "tasks": [task]}},
    }
    with pytest.raises(RequestError, match=message):
        make_plan(load_suite(suite), Store(tmp_path / "out"), download=False)
    suite["tasks"] = {"odd": {"kind": "lm_eval", "tasks": ["one_beam"]}}
    make_plan(load_suite(suite), Store(tmp_path / "out"), download=False)
