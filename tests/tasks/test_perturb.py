"""Changed prompts: one thing is different, the question is the same, and what is found is reported."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from archbench.report.findings import Findings
from archbench.report.parts.prompts import dots, spread
from archbench.report.settings import ReportSettings
from archbench.reporting import build_report
from archbench.results.frames import RunResults
from archbench.tasks.mmlu.entry import MmluEntry
from archbench.tasks.perturbations import PREAMBLE, SEPARATOR
from archbench.tasks.phonebook.entry import PhonebookEntry
from archbench.tasks.phonebook.prompts import FORMATS
from tests.evaluation import evaluate_variant
from tests.results.synthetic import make_run, share
from tests.tasks.test_phonebook_lm_eval import Reader

EVERYTHING = ["option_order", "labels", "delimiter", "answer_prefix", "shot_order", "preamble", "separator"]


@pytest.fixture
def changed_requests(
    plain_set: Path, load_task: Callable[..., Any], requests_of: Callable[[Any], list[tuple[str, str]]]
) -> Callable[..., list[tuple[str, str]]]:
    """The requests to a model under a change."""

    def requests(form: str, perturb: str | None) -> list[tuple[str, str]]:
        return requests_of(load_task(form, 2, data=str(plain_set), perturb=perturb))

    return requests


def test_options_move_on_and_the_right_one_with_them(
    plain_set: Path, load_task: Callable[..., Any], changed_requests: Callable[..., list[tuple[str, str]]]
) -> None:
    plain = load_task("standard", 0, data=str(plain_set)).dataset["test"]
    moved = load_task("standard", 0, data=str(plain_set), perturb="option_order").dataset["test"]
    for before, after in zip(plain, moved, strict=True):
        assert after["choices"] == [before["choices"][3], *before["choices"][:3]]
        assert after["choices"][after["answer"]] == before["choices"][before["answer"]]
        assert after["id"] == before["id"]
    assert changed_requests("standard", "option_order") != changed_requests("standard", None)


@pytest.mark.parametrize(
    ("how", "changed"),
    [
        ("labels", lambda text: re.sub(r"(?m)^[A-D]\.", lambda m: f"{'ABCD'.index(m[0][0]) + 1}.", text)),
        ("delimiter", lambda text: re.sub(r"(?m)^([A-D])\.", r"\1)", text)),
        ("answer_prefix", lambda text: text.replace("Answer:", "The answer is")),
        ("preamble", lambda text: f"{PREAMBLE}\n\n{text}"),
    ],
)
def test_one_thing_about_a_prompt_changes(
    how: str, changed: Callable[[str], str], changed_requests: Callable[..., list[tuple[str, str]]]
) -> None:
    for form in ("standard", "choice_text"):
        for (plain, choice), (text, other) in zip(
            changed_requests(form, None), changed_requests(form, how), strict=True
        ):
            expected = changed(plain)
            if how == "labels" and form == "standard":  # the shots' answers are labels too
                expected = re.sub(r"Answer: ([A-D])", lambda m: f"Answer: {'ABCD'.index(m[1]) + 1}", expected)
                choice = f" {'ABCD'.index(choice[1]) + 1}"
            assert text == expected
            assert other == choice


def test_shots_change_places_and_parts_are_divided(
    changed_requests: Callable[..., list[tuple[str, str]]],
) -> None:
    for (plain, _), (turned, _), (divided, _) in zip(
        changed_requests("cloze", None),
        changed_requests("cloze", "shot_order"),
        changed_requests("cloze", "separator"),
        strict=True,
    ):
        head, first, second, question = plain.split("\n\n")
        assert turned == "\n\n".join([head, second, first, question])
        assert divided == f"{head}\n\n{first}{SEPARATOR}{second}{SEPARATOR}{question}"


def test_what_would_change_nothing_is_left_out(plain_set: Path) -> None:
    entry = MmluEntry(data=str(plain_set), formats=["standard", "cloze"], shots=[0, 5], perturb=EVERYTHING)
    names = [variant.name for variant in entry.variants()]
    assert names[:4] == ["standard-0shot", "standard-5shot", "cloze-0shot", "cloze-5shot"]
    assert "standard-5shot+labels" in names
    assert not [name for name in names if re.match(r"cloze.*\+(labels|option_order|delimiter)", name)]
    assert not [name for name in names if re.search(r"-0shot\+(shot_order|separator)", name)]
    plain = MmluEntry(data=str(plain_set), formats=["standard", "cloze"], shots=[0, 5])
    assert entry.digest() == plain.digest(), "plain cells that are there stay"
    assert entry.variants()[:4] == plain.variants()


def test_what_is_left_out_is_reported(plain_set: Path, caplog: pytest.LogCaptureFixture) -> None:
    entry = MmluEntry(data=str(plain_set), formats=["standard", "cloze"], shots=[0], perturb=["labels"])
    entry.check()
    PhonebookEntry(formats=["standard", "copy"], entries=[12], perturb=["answer_prefix"]).check()
    assert [record.getMessage() for record in caplog.records] == [
        "perturb: labels is left out of cloze-0shot, since cloze prompts show no options.",
        "perturb: answer_prefix is left out of copy, since a copied entry has no 'Answer:'.",
    ]
    for formats, shots, how, why in (
        (["cloze"], [0, 5], "labels", "cloze prompts show no options"),
        (["standard"], [0, 1], "shot_order", "no order of fewer than two shots"),
        (["standard"], [0], "separator", "without shots"),
    ):
        with pytest.raises(ValueError, match=f"{how} would change none of the prompts .*{why}: take it out"):
            MmluEntry.model_validate(
                {"data": str(plain_set), "formats": formats, "shots": shots, "perturb": [how]}
            )


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("how", ["delimiter", "answer_prefix", "shot_order", "preamble", "separator"])
def test_a_phonebook_stays_the_same_book(form: Any, how: Any) -> None:
    if form == "copy" and how == "answer_prefix":
        with pytest.raises(ValueError, match="answer_prefix would change none of the prompts"):
            PhonebookEntry(formats=[form], entries=[12], perturb=[how])
        return
    entry = PhonebookEntry(formats=[form], entries=[12], books=2, queries=2, perturb=[how])
    variants = entry.variants()
    plain, changed = variants
    seen: list[str] = []

    def look_up(prompt: str) -> str:
        seen.append(prompt)
        entries = dict(re.findall(r"(?m)^([A-Z][a-z]+ [A-Z][a-z]+)(?:: | - )(\d{3}-\d{3}-\d{4})$", prompt))
        name = re.findall(r"phone number for (.+)\?", prompt)
        last = prompt.rsplit("\n", 1)[1]
        return f" {entries[name[-1] if name else re.sub(r'(:| -)$', '', last)]}"

    reader = Reader(look_up)
    for variant in (plain, changed):
        rows = evaluate_variant(reader, variant, limit=None, seed=0).rows
        assert [row["exact_match"] for row in rows] == [1.0] * 4
    before, after = seen[:4], seen[4:]
    assert all(one != other for one, other in zip(before, after, strict=True))
    if how == "delimiter":
        assert not any("Answer -" in prompt for prompt in after), "that is no entry of the book"
    if how == "shot_order":
        assert [sorted(one.split()) for one in before] == [sorted(one.split()) for one in after]


@pytest.fixture
def run(tmp_path: Path) -> RunResults:
    """`steady` scores 60 % under any prompt; `fickle` 60 % under the plain one and 40 % under new labels."""
    conditions = {
        "standard-5shot": {"format": "standard", "shots": 5},
        "standard-5shot+labels": {"format": "standard", "shots": 5, "prompt": "labels"},
        "standard-5shot+preamble": {"format": "standard", "shots": 5, "prompt": "preamble"},
    }
    return make_run(
        tmp_path / "run",
        {
            "steady": dict.fromkeys(conditions, share(0.6)),
            "fickle": dict.fromkeys(conditions, share(0.6)) | {"standard-5shot+labels": share(0.4)},
        },
        conditions=conditions,
    )


def test_the_report_tells_how_much_is_the_prompts(run: RunResults, tmp_path: Path) -> None:
    findings = Findings(run, ReportSettings())
    assert [one.variant for one in findings.conditions] == ["standard-5shot"], (
        "the other tables are on it alone"
    )
    assert set(findings.differences["variant"]) == {"standard-5shot"}
    sheet = spread(findings)
    assert sheet is not None
    lines = {
        line.split("|")[2].strip(): line for line in sheet.to_markdown().splitlines() if "60.0 \\[" in line
    }
    steady, fickle = (
        [cell.strip() for cell in lines[name].strip("|").split("|")] for name in ("steady", "fickle")
    )
    assert fickle[3:] == ["40.0 (labels)", "60.0 (plain and preamble)", "20.0", "1 of 2"]
    assert steady[3:] == ["60.0 (all)", "60.0 (all)", "0.0", "0 of 2"]
    figure = dots(findings)
    assert figure is not None
    page = build_report(run, tmp_path / "report").page.read_text(encoding="utf-8")
    assert "### Prompts" in page
    assert (
        "- fickle scores between 40.0 % (labels) and 60.0 % (plain and preamble) on standard 5-shot across 3 "
        "prompts; 1 of 2 changed prompts differ from the plain one beyond chance.\n" in page
    )
    assert "- steady scores 60.0 % on standard 5-shot across 3 prompts alike; 0 of 2 changed" in page
    assert "prompts.png" in page
