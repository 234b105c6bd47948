"""The three formats differ in the format alone, whatever the questions are."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from archbench.paths import shared
from archbench.tasks.mmlu import prompts

FORMATS = ("standard", "choice_text", "cloze")

any_text = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
awkward = st.sampled_from(
    [
        "{{question}}",
        "{% if",
        "{subject}",
        " lead",
        "trail ",
        "a\nb",
        "\n\nAnswer:",
        "A",
        "1",
        "['x']",
        "é\u2028",
    ]
)
texts = st.one_of(any_text, awkward, st.tuples(awkward, any_text).map("".join)).filter(str.strip)
SUBJECTS = ("anatomy", "my_own subject", "{{subject}}")
questions = st.fixed_dictionaries(
    {
        "subject": st.sampled_from(SUBJECTS),
        "question": texts,
        "choices": st.lists(texts, min_size=4, max_size=4),
        "answer": st.integers(0, 3),
    }
)


def expected_context(form: str, row: dict[str, Any], shots: list[dict[str, Any]], prefix: str) -> str:
    """The prompt written down a second time, by hand."""

    def block(one: dict[str, Any]) -> str:
        a, b, c, d = one["choices"]
        options = "" if form == "cloze" else f"A. {a}\nB. {b}\nC. {c}\nD. {d}\n"
        return prefix + one["question"].strip() + "\n" + options + "Answer:"

    def answer(one: dict[str, Any]) -> str:
        return "ABCD"[one["answer"]] if form == "standard" else one["choices"][one["answer"]]

    name = " ".join(row["subject"].split("_"))
    head = f"The following are multiple choice questions (with answers) about {name}.\n\n"
    return head + "".join(f"{block(shot)} {answer(shot)}\n\n" for shot in shots) + block(row)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    test=st.lists(questions, min_size=1, max_size=6),
    dev=st.lists(questions, max_size=4),
    shots=st.integers(0, 2),
    prefix=st.sampled_from(["", "Question: ", "{{Q}} "]),
)
def test_formats_share_items_shots_and_description(
    test: list[dict[str, Any]],
    dev: list[dict[str, Any]],
    shots: int,
    prefix: str,
    load_task: Callable[..., Any],
    requests_of: Callable[[Any], list[tuple[str, str]]],
) -> None:
    more = [{**one, "question": f"Shot: {one['question']}"} for one in (test * 2)[:2]]
    dev = dev + [{**one, "subject": subject} for one in more for subject in SUBJECTS]
    documents = []
    with tempfile.TemporaryDirectory() as folder:
        for split, rows in (("test", test), ("dev", dev)):
            lines = "".join(json.dumps(row) + "\n" for row in rows)
            Path(folder, f"{split}.jsonl").write_text(lines, encoding="utf-8")
        for form in FORMATS:
            task = load_task(form, shots, data=folder, question_prefix=prefix)
            requests = requests_of(task)
            documents.append(list(task.eval_docs))
            for index, row in enumerate(test):
                mine = [shot for shot in dev if shot["subject"] == row["subject"]][:shots]
                context = expected_context(form, row, mine, prefix)
                scored = list("ABCD") if form == "standard" else row["choices"]
                assert requests[4 * index : 4 * index + 4] == [(context, " " + text) for text in scored]
    assert documents[0] == documents[1] == documents[2]
    ids = [doc["id"] for doc in documents[0]]
    assert len(set(ids)) == len(test)


def test_documents_cannot_be_taken_for_templates(plain_set: Path, load_task: Callable[..., Any]) -> None:
    task = load_task(
        "cloze", 1, data=str(plain_set), description="{{answer}} on {subject}:", question_prefix="{%"
    )
    context = task.fewshot_context(task.eval_docs[0], num_fewshot=1)
    assert context.startswith("{{answer}} on virology:\n\n{%What is item dev-virology-0?\nAnswer: ")


def test_description_can_be_switched_off(plain_set: Path, load_task: Callable[..., Any]) -> None:
    task = load_task("cloze", 0, data=str(plain_set), description=False)
    assert task.fewshot_context(task.eval_docs[0], num_fewshot=0) == "What is item test-virology-0?\nAnswer:"


def test_yaml_and_code_name_the_same_version() -> None:
    template = (shared("tasks") / "mmlu" / "_template_yaml").read_text(encoding="utf-8")
    text = re.sub(r"!function \S+", "null", template)
    assert yaml.safe_load(text)["metadata"]["version"] == prompts.VERSION


@pytest.mark.parametrize("form", FORMATS)
def test_documented_prompt_is_the_prompt(
    form: str,
    tmp_path: Path,
    load_task: Callable[..., Any],
    requests_of: Callable[[Any], list[tuple[str, str]]],
) -> None:
    """docs/mmlu.md is the golden file: a prompt that changes needs a new version and new pages."""
    page = (Path(__file__).parents[2] / "docs" / "mmlu.md").read_text(encoding="utf-8")
    files = re.findall(r"```json title=(\w+)\.jsonl\n(.*?)```", page, flags=re.DOTALL)
    assert [name for name, _ in files] == ["dev", "test"]
    for name, content in files:
        (tmp_path / f"{name}.jsonl").write_text(content, encoding="utf-8")
    (documented,) = re.findall(rf"```text title={form}\n(.*?)\n```", page, flags=re.DOTALL)
    requests = requests_of(load_task(form, 1, data=str(tmp_path)))
    scored = ", ".join(f'"{continuation}"' for _, continuation in requests)
    assert documented == f"{requests[0][0]}\n\nscored: {scored}"
