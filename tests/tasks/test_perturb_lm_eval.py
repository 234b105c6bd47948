"""lm-eval's own tasks under changed prompts: one thing changes, and what cannot be changed is an error."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lm_eval.tasks import TaskManager
from pydantic import ValidationError

from archbench.errors import RequestError, RunError
from archbench.tasks.lm_eval import index
from archbench.tasks.lm_eval.entry import LmEvalEntry
from archbench.tasks.lm_eval.layout import Options, bare_labels, begun_otherwise, find_options, other_label
from archbench.tasks.perturbations import PREAMBLE, SEPARATOR, Perturbation
from tests.evaluation import evaluate_variant
from tests.tasks.test_standard_twelve import FOLDERS, HOME, Recorder, save
from tests.tasks.twelve import TWELVE, Sample


def _commonsense(split: str) -> list[dict[str, Any]]:
    rows = [
        ("Where is ice?\nA. pole\nB. oven", ["lab", "pole", "sun", "oven", "B. oven"], "B"),
        ("Who sings?", ["a stone", "a bird", "a", "nobody\nat all", "a bird's egg"], "E"),
        ("What burns?", ["oak", "sea", "sand", "rain", "fog"], "A"),
    ]
    return [
        {
            "question": f"{split} {question}",
            "choices": {"label": list("ABCDE"), "text": texts},
            "answerKey": k,
        }
        for question, texts, k in rows
    ]


def _logiqa(split: str) -> list[dict[str, Any]]:
    return [
        {"label": label, "context": f"{split} If so, no.", "question": "So?", "options": options}
        for label, options in (("c", ["yes.", "no.", "not so.", "so."]), ("a", ["now.", "no.", "w.", "v."]))
    ]


def _three(split: str) -> list[dict[str, Any]]:
    rows = TWELVE["piqa"].splits[split]
    return [*rows, {"goal": f"{split} To nap", "sol1": "run", "sol2": "lie down", "label": 1}]


SAMPLES = {
    "piqa": Sample({split: _three(split) for split in ("validation", "train")}, "acc", [0, 1, 1]),
    "commonsense_qa": Sample(
        {split: _commonsense(split) for split in ("validation", "train")}, "acc", [1, 4, 0]
    ),
    "logiqa": Sample({split: _logiqa(split) for split in ("test", "train")}, "acc", [2, 0]),
} | {name: sample for name, sample in TWELVE.items() if name != "piqa"}

SHOWING = ("mmlu_anatomy", "commonsense_qa", "logiqa")


@pytest.fixture(scope="module")
def manager() -> TaskManager:
    """lm-eval's index of these tasks alone, which is built quickly."""
    folders = [str(HOME / one) for one in (*FOLDERS, "race", "nq_open", "commonsense_qa", "logiqa")]
    return TaskManager(include_path=folders, include_defaults=False)


@pytest.fixture(autouse=True)
def _small_index(manager: TaskManager, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(index, "task_manager", lambda include=(): manager)
    before = dict(manager.task_index)
    yield
    assert manager.task_index == before


def entry_of(task: str, folder: Path, *perturb: str, shots: int | list[int] = 0) -> LmEvalEntry:
    return LmEvalEntry.model_validate(
        {
            "tasks": [task],
            "data": str(save(folder / task, SAMPLES[task])),
            "metric": SAMPLES[task].metric,
            "num_fewshot": shots,
            "perturb": list(perturb),
        }
    )


def requests_of(entry: LmEvalEntry) -> list[list[tuple[str, str]]]:
    """The requests under the plain prompt and under each change."""
    found = []
    for variant in entry.variants():
        lm = Recorder()
        evaluate_variant(lm, variant, limit=None, seed=0)
        found.append([(str(prompt), str(choice)) for prompt, choice in lm.requests])
    return found


CHANGES = {
    "labels": lambda text: re.sub(r"(?m)^([A-E])(?=\. )", lambda found: other_label(found[1]), text),
    "delimiter": lambda text: re.sub(r"(?m)^([A-E])\. ", r"\1) ", text),
    "answer_prefix": lambda text: text.replace("Answer:", "The answer is"),
    "preamble": lambda text: f"{PREAMBLE}\n\n{text}",
}


@pytest.mark.parametrize("how", ["delimiter", "answer_prefix", "preamble", "labels"])
@pytest.mark.parametrize("task", ["mmlu_anatomy", "logiqa"])
def test_one_thing_changes_where_options_are_shown(task: str, how: str, tmp_path: Path) -> None:
    entry = entry_of(task, tmp_path, how, shots=1)
    entry.check()
    plain, changed = requests_of(entry)
    assert len(plain) == len(changed) >= 8
    for (text, choice), (other, another) in zip(plain, changed, strict=True):
        expected, wanted = CHANGES[how](text), choice
        if how == "labels" and task == "mmlu_anatomy":  # the shot's answer is a label too
            expected = re.sub(r"Answer: ([A-E])", lambda found: f"Answer: {other_label(found[1])}", expected)
            wanted = f" {other_label(choice[1])}"
        assert other == expected != text
        assert another == wanted


def test_only_the_options_of_the_question_are_taken_for_options(tmp_path: Path) -> None:
    plain, moved, labelled = requests_of(entry_of("commonsense_qa", tmp_path, "option_order", "labels"))
    assert plain[0][0].startswith("Question: validation Where is ice?\nA. pole\nB. oven\nA. lab\nB. pole\n")
    assert moved[0][0] == (
        "Question: validation Where is ice?\nA. pole\nB. oven\n"
        "A. B. oven\nB. lab\nC. pole\nD. sun\nE. oven\nAnswer:"
    )
    assert labelled[5][0] == (
        "Question: validation Who sings?\n1. a stone\n2. a bird\n3. a\n4. nobody\nat all\n"
        "5. a bird's egg\nAnswer:"
    )
    assert [choice for _, choice in labelled[:5]] == [" 1", " 2", " 3", " 4", " 5"]


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ("delimiter", lambda text: text.replace("Answer: ", "Answer:\n")),
        ("answer_prefix", CHANGES["answer_prefix"]),
        ("preamble", CHANGES["preamble"]),
        ("separator", lambda text: text.replace("\n\n", SEPARATOR)),
        ("shot_order", lambda text: "\n\n".join([*text.split("\n\n")[1::-1], text.split("\n\n")[2]])),
    ],
)
def test_one_thing_changes_where_options_are_not_shown(how: str, expected: Any, tmp_path: Path) -> None:
    entry = entry_of("piqa", tmp_path, how, shots=2)
    entry.check()
    plain, changed = requests_of(entry)
    for (text, choice), (other, another) in zip(plain, changed, strict=True):
        assert other == expected(text) != text
        assert another == (choice.replace(" ", "\n", 1) if how == "delimiter" else choice)


def test_every_context_of_winogrande_changes(tmp_path: Path) -> None:
    plain, changed = requests_of(entry_of("winogrande", tmp_path, "preamble", shots=1))
    assert [(f"{PREAMBLE}\n\n{text}", choice) for text, choice in plain] == changed
    assert len({text for text, _ in changed}) == 6


RIGHT = {
    "mmlu_anatomy": {"anatomy 0?": "a", "anatomy 1?": "b"},
    "commonsense_qa": {"Where": "pole", "Who": "a bird's egg", "What": "oak"},
    "logiqa": {"not so.": "not so.", "now.": "now."},
    "piqa": {"jar": "twist the lid", "Warm": "heat", "nap": "lie down"},
    "arc_easy": {"metal": "iron", "floats": "cork"},
    "openbookqa": {"metal": "iron", "floats": "cork"},
    "pubmedqa": {"help 0?": "yes", "help 1?": "no", "help 2?": "maybe"},
    "race": {"rained": "daily", "came": "Di", "about": "rain"},
}
"""The right answers' texts, by a word of the question."""


class Knowing(Recorder):
    """Knows the texts of right answers, and reads off the prompt under which label one stands."""

    def __init__(self, right: dict[str, str]) -> None:
        super().__init__()
        self.right = right

    def loglikelihood(self, requests: Any) -> list[tuple[float, bool]]:
        return [(0.0 if self._is_right(*request.args) else -9.0, False) for request in requests]

    def _is_right(self, prompt: str, answer: str) -> bool:
        answer = answer.strip()
        shown = re.findall(rf"(?ms)^{re.escape(answer)}[.)] (.+?)(?=\n\S[.)] |\nAnswer|\nThe answer)", prompt)
        question = prompt.split("Question:")[-1]
        options = [text for word, text in self.right.items() if word in question]
        return (shown[-1] if shown else answer) == options[-1]


@pytest.mark.parametrize("task", RIGHT)
def test_the_right_answer_stays_right_under_every_change(task: str, tmp_path: Path) -> None:
    changes = possible(task, tmp_path, shots=0)
    assert len(changes) == {"race": 1, "openbookqa": 1}.get(task, 5 if task in SHOWING else 3)
    plain, *changed = [
        evaluate_variant(Knowing(RIGHT[task]), variant, limit=None, seed=0).rows
        for variant in entry_of(task, tmp_path, *changes).variants()
    ]
    assert [row["acc"] for row in plain] == [1.0] * len(SAMPLES[task].gold)
    for rows in changed:
        assert [row["item"] for row in rows] == [row["item"] for row in plain]
        assert [row["acc"] for row in rows] == [1.0] * len(plain)
    if task in SHOWING:
        moved = changed[changes.index("option_order")]
        places = [(int(row["target"]) + 1) % len(row["choices"]) for row in plain]
        assert [int(row["target"]) for row in moved] == places


def possible(task: str, folder: Path, shots: int) -> list[str]:
    """The changes that a task allows, one by one."""
    found = []
    for how in get_args(Perturbation):
        with contextlib.suppress(RequestError):
            entry_of(task, folder, how, shots=shots).check()
            found.append(how)
    return found


def test_what_each_task_allows_with_two_shots(tmp_path: Path) -> None:
    always = ["shot_order", "preamble", "separator"]
    assert possible("piqa", tmp_path, 2) == ["delimiter", "answer_prefix", *always]
    assert possible("winogrande", tmp_path, 2) == possible("hellaswag", tmp_path, 2) == always
    assert possible("commonsense_qa", tmp_path, 2) == list(get_args(Perturbation))
    assert possible("mmlu_anatomy", tmp_path, 2) == list(get_args(Perturbation))


@pytest.mark.parametrize(
    ("task", "how", "why"),
    [
        (
            "piqa",
            "labels",
            r"since its prompts show no labelled options\. Possible: delimiter, answer_pre",
        ),
        ("piqa", "option_order", "each is scored by itself, so their order changes nothing"),
        ("hellaswag", "delimiter", r"not all of its prompts end in 'Answer:' .*Possible: preamble\."),
        ("winogrande", "answer_prefix", "not all of its prompts end in"),
        ("piqa", "shot_order", "it needs 2 or more shots, and the prompt has 0"),
        ("truthfulqa_mc1", "separator", "it needs 1 or more shots"),
        ("nq_open", "preamble", "only multiple-choice tasks can be changed.*Possible: none"),
    ],
)
def test_an_impossible_change_is_refused_with_its_reason(
    task: str, how: str, why: str, tmp_path: Path
) -> None:
    start = f"^perturb of '{task}': {how} is not possible for lm-eval's task '{task}', .*"
    with pytest.raises(RequestError, match=start + why):
        entry_of(task, tmp_path, how).check()


def test_examples_written_into_a_prompt_change_with_it(tmp_path: Path) -> None:
    plain, changed = requests_of(entry_of("truthfulqa_mc1", tmp_path, "answer_prefix"))
    assert plain[0][0].count("\nA: ") == changed[0][0].count("\nThe answer is ") == 6
    assert changed[0][0].endswith("\nThe answer is")
    assert "\nA:" not in changed[0][0]


def test_changes_to_shots_are_left_out_where_there_are_too_few(tmp_path: Path) -> None:
    entry = entry_of("piqa", tmp_path, "shot_order", "separator", "preamble", shots=[0, 1, 2])
    entry.check()
    assert [variant.name for variant in entry.variants()] == [
        "piqa-0shot",
        "piqa-1shot",
        "piqa-2shot",
        "piqa-0shot+preamble",
        "piqa-1shot+separator",
        "piqa-1shot+preamble",
        "piqa-2shot+shot_order",
        "piqa-2shot+separator",
        "piqa-2shot+preamble",
    ]
    plain = entry_of("piqa", tmp_path, shots=[0, 1, 2])
    assert entry.digest() == plain.digest(), "plain cells that are there stay"
    assert entry.variants()[:3] == plain.variants()
    assert requests_of(entry)[:3] == requests_of(plain)
    with pytest.raises(ValidationError, match="'labels' is listed more than once"):
        entry_of("piqa", tmp_path, "labels", "labels")


def test_a_shot_of_another_form_is_reported_when_it_is_met(tmp_path: Path) -> None:
    splits = {split: [dict(row) for row in rows] for split, rows in SAMPLES["commonsense_qa"].splits.items()}
    for row in splits["train"]:
        row["choices"] = {"label": list("ABCDE"), "text": ["", "x", "y", "z", "w"]}
    folder = save(tmp_path / "data", SAMPLES["commonsense_qa"]._replace(splits=splits))
    entry = LmEvalEntry(tasks=["commonsense_qa"], data=str(folder), num_fewshot=1, perturb=["labels"])
    entry.check()
    with pytest.raises(
        RunError, match=r"the prompt of a shot does not show its options .* labels is not possible"
    ):
        evaluate_variant(Recorder(), entry.variants()[1], limit=None, seed=0)


LINES = st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "Zs")), min_size=1, max_size=12)


@settings(deadline=None)
@given(
    texts=st.lists(LINES, min_size=2, max_size=9),
    style=st.sampled_from([("", ". "), ("", ") "), ("(", ") "), ("", ": ")]),
    names=st.sampled_from(["ABCDEFGHI", "abcdefghi", "123456789"]),
    question=LINES,
)
def test_shown_options_are_found_and_put_back(
    texts: list[str], style: tuple[str, str], names: str, question: str
) -> None:
    block = "\n".join(f"{style[0]}{label}{style[1]}{text}" for label, text in zip(names, texts, strict=False))
    prompt = f"{question}\n{block}\nAnswer:"
    found = find_options(prompt, texts, {"options": texts})
    assert found is not None
    assert str(found) == prompt
    assert str(found.moved().moved().relabelled().ended_otherwise()).count("\n") == prompt.count("\n")
    again = found
    for _ in texts:
        again = again.moved()
    assert again == found


def test_parts_of_a_prompt_by_hand() -> None:
    doc = {"q": "Which?", "o": ["one", "one more"]}
    found = find_options("Which?\n(A) one\n(B) one more\nA:", [" A", " B"], doc)
    assert found == Options("Which?\n(", ("A", "B"), ") ", ("one", "one more"), ("\n(",), "\nA:")
    assert found.in_parentheses
    assert find_options("Which? A. one B. two Answer:", ["A", "B"], doc) is None, (
        "two is no text of the document"
    )
    assert find_options("Which? A. one, B. one more Answer:", ["A", "B"], doc) is not None
    assert bare_labels(["(A)", "(B)"]) == ("A", "B")
    assert bare_labels(["A", "C"]) is None
    assert begun_otherwise("Q: A: x?\nA: y\n\nQ: z\nA:", "A:", "The answer is") == (
        "Q: A: x?\nThe answer is y\n\nQ: z\nThe answer is"
    )
