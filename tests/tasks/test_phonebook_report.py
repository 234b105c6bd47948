"""What the report says of phonebooks, on made-up answers whose truth is known."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from archbench.draw import Draw
from archbench.report.findings import Findings
from archbench.report.settings import ReportSettings
from archbench.reporting import build_report
from archbench.results.frames import RunResults, load_results
from archbench.results.store import Store
from archbench.tasks.phonebook import scoring
from archbench.tasks.phonebook.entry import PhonebookEntry
from archbench.tasks.phonebook.items import Layout, items_by_entries
from archbench.tasks.phonebook.report.charts import depths, digits, lengths
from archbench.tasks.phonebook.report.tables import answers, scores, sentences
from tests.results.synthetic import header

SIZES = (10, 20, 40)


def fuzzy(item: dict[str, Any], draw: Draw) -> str:
    """Remembers the first digits, and in large books only those."""
    number = str(item["target"])
    return number if draw.uniform() < 8 / item["book_entries"] else f"{number[:7]}-{1000 + draw.below(9000)}"


def neighbour(item: dict[str, Any], draw: Draw) -> str:
    """Is right in the second half of the book and gives the neighbour's number in the first."""
    late = item["place"] * 2 >= item["book_entries"]
    at = item["place"] if late else item["place"] + 1
    return str(item["numbers"][at])


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunResults:
    """Two members, two formats, three sizes; one was trained on 300 tokens."""
    folder = tmp_path_factory.mktemp("run")
    store = Store(folder)
    variants = PhonebookEntry(entries=list(SIZES)).variants()
    store.write_manifest(
        {
            "name": "phonebook",
            "members": [{"name": "fuzzy", "training_length": 300}, {"name": "neighbour"}],
            "conditions": [{"task": "phonebook", "variant": variant.name} for variant in variants],
        }
    )
    for member, answer in (("fuzzy", fuzzy), ("neighbour", neighbour)):
        for variant in variants:
            form, size = str(variant.labels["format"]), int(variant.labels["entries"])
            rows = []
            for doc, item in enumerate(items_by_entries(0, form, size, 20, Layout())):  # type: ignore[arg-type]
                response = f" {answer(item, Draw(member, item['id']))}\nWhat"
                row = {
                    "item": item["id"],
                    "doc": doc,
                    "subject": None,
                    "category": None,
                    "prompt_hash": hashlib.sha256(item["prompt"].encode()).hexdigest(),
                    "target": item["target"],
                    "prompt_tokens": 15 * size,
                    "prediction": response,
                }
                rows.append(row | scoring.details(item, response) | scoring.process_results(item, [response]))
            head = header(
                member,
                "phonebook",
                variant.name,
                kind="phonebook",
                labels=variant.labels,
                metric="exact_match",
                metrics=("exact_match", "digit_accuracy", "leading_digits", "similarity"),
                chance=variant.chance,
                items=len(rows),
            )
            store.write_cell(head, rows)
    return load_results(folder)


@pytest.fixture(scope="module")
def findings(run: RunResults) -> Findings:
    return Findings(run, ReportSettings())


def test_scores_and_what_is_beyond_training(findings: Findings) -> None:
    sheet = scores(findings)
    assert sheet is not None
    data = sheet.data.set_index(["member", "variant", "metric"])["score"]
    assert data["neighbour", "standard-20entries", "exact_match"] == pytest.approx(0.5, abs=0.15)
    assert data["fuzzy", "standard-40entries", "leading_digits"] >= 0.6
    text = sheet.to_markdown()
    assert "An entry takes 15.0 tokens, name, number and line break" in text
    assert text.count("fuzzy‡") == 2  # 40 entries of 15 tokens are more than 300, 20 are not
    assert "neighbour‡" not in text


def test_where_wrong_numbers_came_from(findings: Findings) -> None:
    sheet = answers(findings)
    assert sheet is not None
    data = sheet.data.set_index(["member", "variant", "source"])["share"].sort_index()
    for size in SIZES:
        of = data["neighbour", f"standard-{size}entries"]
        assert of["right"] + of["neighbour"] == pytest.approx(1)
        assert data["fuzzy", f"reversed-{size}entries"][["right", "nowhere"]].sum() == pytest.approx(1)
    assert list(sheet.data.groupby(["member", "variant"])["share"].sum()) == pytest.approx([1.0] * 12)


def test_lines(findings: Findings) -> None:
    for draw, label in (
        (lengths, "entries in the book"),
        (digits, "digit"),
    ):
        figure = draw(findings)
        assert figure is not None
        assert [area.get_title() for area in figure.axes] == ["standard", "reversed"]
        assert figure.axes[0].get_xlabel() == label
    by_depth = depths(findings)
    assert by_depth is not None
    assert by_depth.axes[0].get_xlabel() == "depth in the book, %"
    titles = [area.get_title() for area in by_depth.axes]
    assert [title.split("\n")[0] for title in titles] == [
        f"{form}, {size} entries" for form in ("standard", "reversed") for size in SIZES
    ]
    assert titles[0].split("\n")[1] == "n = 20 a point"
    for area, size in zip(by_depth.axes, SIZES, strict=False):
        guess = next(one for one in area.lines if list(one.get_xdata()) == [0, 100])
        assert list(guess.get_ydata()) == pytest.approx([100 / (size - 2)] * 2)
    recalled = [one for one in by_depth.axes[0].lines if one.get_linestyle() != "None"]
    line = next(one for one in recalled if len(one.get_xdata()) == 5 and one.get_ydata()[0] == 0)
    assert list(line.get_ydata()[[0, 1, 3, 4]]) == [0, 0, 100, 100]


def test_intervals_of_members_stand_beside_each_other(findings: Findings) -> None:
    for draw in (lengths, depths, digits):
        figure = draw(findings)
        assert figure is not None
        curves = [
            one for one in figure.axes[0].lines if one.get_marker() == "None" and len(one.get_xdata()) > 2
        ]
        mine, other = (np.asarray(one.get_xdata()) for one in curves[:2])
        assert (mine < other).all()


def test_recall_is_reported_in_words(findings: Findings) -> None:
    standard, reversed_ = sentences(findings)
    assert standard.startswith(
        "Phonebook, standard: numbers recalled from books of 10 and of 40 entries: fuzzy "
    )
    assert reversed_.startswith("Phonebook, reversed: ")
    assert standard.endswith("Naming any entry that is no example would give 12.5 % and 2.6 %.")
    scored = findings.scores.set_index(["member", "variant"])["score"]
    for member in ("fuzzy", "neighbour"):
        shares = [f"{100 * scored[member, f'standard-{size}entries']:.1f} %" for size in (10, 40)]
        assert f"{member} {shares[0]} and {shares[1]}" in standard


def test_the_page_has_it(run: RunResults, tmp_path: Path) -> None:
    report = build_report(run, tmp_path)
    names = {path.name for path in (*report.tables, *report.figures)}
    assert {"phonebook.md", "phonebook_answers.csv", "phonebook.svg", "phonebook_depths.png"} <= names
    assert "normalisations.md" not in names
    page = report.page.read_text(encoding="utf-8")
    assert "### Phonebook answers" in page
    assert "figures/phonebook_digits.png" in page
