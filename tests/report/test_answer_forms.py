"""Answers of another form than requested are counted, reported, and not taken for a lack of memory."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from archbench.report.findings import Findings
from archbench.report.parts.answer_forms import sentences, table
from archbench.report.settings import ReportSettings
from archbench.reporting import build_report
from archbench.results.frames import RunResults, load_results
from archbench.results.store import Store
from archbench.tasks.phonebook import scoring
from tests.results.synthetic import header

TARGET = "291-492-7694"
BOOK = {
    "target": TARGET,
    "numbers": ["212-345-6789", TARGET, "313-345-6789"],
    "examples": [0],
    "place": 1,
    "book": 0,
    "book_entries": 3,
    "depth": 50,
}


def stored(folder: Path, answers: dict[str, Sequence[str]]) -> RunResults:
    """A run of phonebooks with these answers of each member."""
    store = Store(folder)
    store.write_manifest({"name": "forms", "members": [{"name": name} for name in answers]})
    for member, given in answers.items():
        rows = [_row(at, said) for at, said in enumerate(given)]
        names = tuple(scoring.process_results(BOOK, [""]))
        labels = {"format": "reversed", "entries": 3}
        head = header(
            member,
            "phonebook",
            "reversed-3entries",
            kind="phonebook",
            labels=labels,
            metric="exact_match",
            metrics=names,
            chance=1.0,
            items=len(rows),
        )
        store.write_cell(head, rows)
    return load_results(folder)


def _row(at: int, said: str) -> dict[str, Any]:
    known = {"item": f"{at}", "doc": at, "subject": None, "category": None, "prompt_hash": f"{at}"}
    scored = scoring.process_results(BOOK, [said]) | scoring.details(BOOK, said)
    return known | {"target": TARGET, "prompt_tokens": 9, "prediction": said} | scored


def test_nineteen_empty_answers_of_twenty(tmp_path: Path) -> None:
    right, other = f"Ruth Beckway: {TARGET}", "I cannot tell."
    run = stored(
        tmp_path,
        {
            "mute": ["", " \n"] * 9 + ["", right],
            "chatty": [other] * 2 + [TARGET] * 18,
            "fine": [other] + [TARGET] * 19,
        },
    )
    findings = Findings(run, ReportSettings())
    said = sentences(findings)
    assert [one.split(" on ")[0] for one in said[:-1]] == [
        "mute left answers empty",
        "chatty answered with nothing of the requested kind (no number, no label)",
    ]
    assert "(95.0 %)" in said[0]
    assert "(10.0 %)" in said[1]
    sheet = table(findings)
    assert sheet is not None
    data = sheet.data.set_index("member")
    assert data.loc[
        "mute", ["score", "in_line", "first_in_line", "empty", "other"]
    ].tolist() == pytest.approx([0, 0.05, 0.05, 0.95, 0])
    assert data.loc["fine", ["score", "empty", "other"]].tolist() == pytest.approx([0.95, 0, 0.05])
    report = build_report(run, tmp_path / "report")
    page = report.page.read_text()
    assert "mute left answers empty on" in page
    assert "(0.0 %, with 95.0 % of the answers empty or of another form than requested)" in page
    assert "### Answer forms" in page
    assert "| empty |" in (tmp_path / "report" / "tables" / "phonebook_answers.md").read_text()


def test_a_run_of_an_earlier_archbench_has_no_such_table(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.write_manifest({"name": "old"})
    newer = ("in_line", "first_in_line", "answer_form")
    rows = [{k: v for k, v in _row(at, TARGET).items() if k not in newer} for at in range(4)]
    names = ("exact_match", "digit_accuracy", "leading_digits", "similarity")
    labels = {"format": "reversed", "entries": 3}
    head = header(
        "old",
        "phonebook",
        "reversed-3entries",
        kind="phonebook",
        labels=labels,
        metric="exact_match",
        metrics=names,
        items=4,
    )
    store.write_cell(head, rows)
    findings = Findings(load_results(tmp_path), ReportSettings())
    assert table(findings) is None
    assert sentences(findings) == []
    build_report(findings.results, tmp_path / "report")
    assert "first there" not in (tmp_path / "report" / "tables" / "phonebook.md").read_text().split("|", 1)[1]
