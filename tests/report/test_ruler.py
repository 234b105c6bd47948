"""What the report says of RULER, on made-up answers whose truth is known."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure

from archbench.draw import Draw
from archbench.report.findings import Findings
from archbench.report.settings import ReportSettings
from archbench.report.words.naming import with_interval
from archbench.reporting import build_report
from archbench.results.frames import RunResults, load_results
from archbench.results.store import Store
from archbench.tasks.ruler.report.charts import depths, lengths
from archbench.tasks.ruler.report.tables import averages, by_task
from archbench.tasks.ruler.subtasks import TASKS
from tests.results.synthetic import header

LENGTHS = (1024, 2048, 4096)
SAMPLES = 40


def score(member: str, task: str, length: int, depth: int, draw: Draw) -> float:
    """`even` has 90 % everywhere; `front` finds what stands in the first half of less than 4096 tokens."""
    if member == "even":
        return float(draw.uniform() < 0.9)
    if task == "niah_multivalue":
        return 0.25
    return float(depth < 50 and length < 4096)


def make(folder: Path, tasks: list[str]) -> RunResults:
    store = Store(folder)
    variants = [f"{length}tokens" for length in LENGTHS]
    store.write_manifest(
        {
            "name": "ruler",
            "members": [{"name": "even", "training_length": 1500}, {"name": "front"}],
            "conditions": [{"task": "ruler", "variant": variant} for variant in variants],
        }
    )
    for member in ("even", "front"):
        for length, variant in zip(LENGTHS, variants, strict=True):
            rows: list[dict[str, Any]] = []
            for task in tasks:
                for at in range(SAMPLES):
                    depth = round(100 * at / (SAMPLES - 1))
                    found = score(member, task, length, depth, Draw(member, task, length, at))
                    rows.append(
                        {
                            "item": f"{task}-{length}/{at}",
                            "doc": at,
                            "subject": task,
                            "category": TASKS[task].category,  # type: ignore[index]
                            "prompt_hash": f"{task}-{length}-{at}",
                            "target": "1",
                            "prompt_tokens": length - 50,
                            "prediction": "",
                            "string_match": found,
                            "string_match_all": found,
                            "string_match_part": float(found > 0),
                            "form": "published",
                        }
                        | (
                            {}
                            if task in ("niah_multivalue", "niah_multiquery", "vt", "cwe", "fwe")
                            else {"depth": depth}
                        )
                    )
            metrics = ("string_match", "string_match_all", "string_match_part")
            head = header(
                member,
                "ruler",
                variant,
                kind="ruler",
                labels={"length": length},
                metric="string_match",
                metrics=metrics,
                chance=None,
                items=len(rows),
            )
            store.write_cell(head, rows)
    return load_results(folder)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunResults:
    return make(tmp_path_factory.mktemp("run"), list(TASKS))


@pytest.fixture(scope="module")
def findings(run: RunResults) -> Findings:
    return Findings(run, ReportSettings())


def test_averages(findings: Findings) -> None:
    sheet = averages(findings)
    assert sheet is not None
    data = sheet.data
    tasks = data[data["over"] == "tasks"].set_index(["member", "length"])["score"]
    assert tasks["even"].tolist() == pytest.approx([0.9] * 3, abs=0.04)
    front = (12 * 0.5 + 0.25) / 13
    assert tasks["front"].tolist() == pytest.approx([front, front, 0.25 / 13])
    over = data[data["over"] != "tasks"].set_index(["member", "over"])
    assert over.loc["front", "score"].tolist() == pytest.approx(
        [
            (2 * front + 0.25 / 13) / 3,
            (1 * front + 2 * front + 3 * 0.25 / 13) / 6,
            (3 * front + 2 * front + 1 * 0.25 / 13) / 6,
        ]
    )
    errors = data[(data["member"] == "even") & (data["over"] == "tasks")]["stderr"]
    assert over.loc[("even", "lengths"), "stderr"] == pytest.approx((errors**2).sum() ** 0.5 / 3)
    assert (over["low"] < over["score"]).all()
    text = sheet.to_markdown()
    assert "the intervals may be narrower than those of the accuracy table" in text
    assert "≥ 4,096" in text
    assert "under 1,024" in text
    assert text.count("‡ |") == 2  # 1974 and 4046 tokens are more than 1500, 974 are not
    assert text.count("the average over 13 of its 13 tasks") == 1


def test_part_of_the_tasks_has_no_effective_length(tmp_path: Path) -> None:
    found = Findings(make(tmp_path, ["vt", "niah_single_1"]), ReportSettings())
    sheet = averages(found)
    assert sheet is not None
    text = sheet.to_markdown()
    assert "2 of its 13 tasks" in text
    assert "there is no effective length" in text
    assert "4,096 |" not in text.split("\n")[-4]
    tasks = by_task(found)
    assert tasks is not None
    assert [column.name for column in tasks.tables[0].columns[2:]] == ["niah_single_1", "vt"]


def test_one_task_has_one_interval_in_every_table(tmp_path: Path) -> None:
    found = Findings(make(tmp_path, ["niah_single_1"]), ReportSettings())
    sheet = averages(found)
    assert sheet is not None
    cells = {(row[0], at): row[1 + at] for row in sheet.tables[0].rows for at in range(3)}
    for (member, at), cell in cells.items():
        assert getattr(cell, "text", cell) == with_interval(found.score(str(member), found.conditions[at]))
    assert "narrower than" not in sheet.to_markdown()


def test_nothing_found_at_any_length_is_not_certain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.report.test_ruler.score", lambda *one: 0.0)
    sheet = averages(Findings(make(tmp_path, ["niah_single_1"]), ReportSettings()))
    assert sheet is not None
    (front,) = [row for row in sheet.tables[0].rows if row[0] == "front"]
    assert re.fullmatch(r"0\.0 \[0\.0, [1-9]\.\d\]", str(front[4])), "the average over lengths"


def test_tasks(findings: Findings) -> None:
    sheet = by_task(findings)
    assert sheet is not None
    (table,) = sheet.tables
    assert [column.name for column in table.columns[2:]] == list(TASKS)
    assert [row[0] for row in table.rows] == ["1,024", "", "2,048", "", "4,096", ""]
    front = [row for row in table.rows if row[1] == "front"]
    assert front[0][2:] == ["50.0"] * 6 + ["25.0"] + ["50.0"] * 6
    assert front[2][2:] == ["0.0"] * 6 + ["25.0"] + ["0.0"] * 6
    assert "n = 40 items of each task and length" in table.caption


def test_the_heat_map_shows_depth_by_length(findings: Findings) -> None:
    figure = depths(findings)
    assert isinstance(figure, Figure)
    even, front = figure.axes[:2]
    assert [front.get_title(), even.get_title()] == ["front", "even"]
    grid = front.images[0].get_array()
    assert grid is not None
    assert grid.shape == (10, 3)
    assert grid[:5, :2].tolist() == [[100.0, 100.0]] * 5
    assert grid[5:, :2].tolist() == [[0.0, 0.0]] * 5
    assert grid[:, 2].tolist() == [0.0] * 10
    assert [label.get_text() for label in front.get_xticklabels()] == ["1K", "2K", "4K"]
    assert len(front.texts) == 30
    (note,) = (text.get_text() for text in figure.texts if text.get_text().startswith("n = "))
    assert re.fullmatch(r"n = \d+( to \d+)? items a cell", note)


def test_cells_of_few_items_tell_how_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.report.test_ruler.SAMPLES", 12)
    figure = depths(Findings(make(tmp_path, ["niah_single_1"]), ReportSettings()))
    assert figure is not None
    assert {text.get_text() for text in figure.axes[1].texts} == {"100 (1)", "100 (2)", "0 (1)", "0 (2)"}
    assert "n = 1 to 2 items a cell; fewer than 5 are shown in brackets" in {
        text.get_text() for text in figure.texts
    }


def test_lines_by_category(findings: Findings) -> None:
    figure = lengths(findings)
    assert figure is not None
    names = ["all tasks", "retrieval", "tracing", "aggregation", "question answering"]
    assert [area.get_title().replace("\n", " ") for area in figure.axes] == names
    lines = [list(one.get_ydata()) for one in figure.axes[2].lines]
    assert [50.0, 50.0, 0.0] in lines


def test_the_page_has_it(run: RunResults, tmp_path: Path) -> None:
    report = build_report(run, tmp_path)
    names = {path.name for path in (*report.tables, *report.figures)}
    assert {"ruler.md", "ruler.tex", "ruler_tasks.csv", "ruler.svg", "ruler_depths.png"} <= names
    page = report.page.read_text(encoding="utf-8")
    assert "### RULER tasks" in page
    assert "figures/ruler_depths.png" in page
