"""Whole reports: planted truths are said, what is open is left open, and the bytes repeat."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from markdown_it import MarkdownIt
from rich.console import Console

from archbench.errors import RequestError, RunError, amount
from archbench.report.settings import ReportSettings
from archbench.reporting import all_parts, build_report, summary
from archbench.results.frames import RunResults, load_results
from archbench.results.store import Store
from tests.results.synthetic import Right, header, loss_header, losses, make_run, planted, rows, share

FORMATS = {
    f"{form}-{shots}shot": {"format": form, "shots": shots}
    for form in ("standard", "choice", "cloze")
    for shots in (0, 5)
}
HOSTILE = "a_b & 50% | <script>alert(1)</script> [x](http://evil) $y$ `c` \n# d {e} ^~\\"


def shown(results: RunResults, settings: ReportSettings | None = None, width: int = 300) -> str:
    console = Console(width=width, record=True, file=open(os.devnull, "w"))  # noqa: PTH123, SIM115
    console.print(summary(results, settings))
    console.file.close()
    return console.export_text()


def test_the_words_say_what_was_planted(tmp_path: Path) -> None:
    results = planted(tmp_path / "run")
    files = build_report(results, tmp_path / "out")
    page = files.page.read_text()
    assert "A, B, C and D answered the same 1,200 items of mmlu" in page
    assert "B scores highest on standard 5-shot (60.0 %)." in page
    bullets = [line[2:] for line in page.splitlines() if line.startswith("- ")]
    told = [one for one in bullets if re.match("[BCD] is", one)]
    assert re.fullmatch(r"B is better than A on standard 5-shot \(\+10\.0, \+7\.\d to \+12\.\d\)\.", told[0])
    level = r"C is not distinguishable from A on standard 5-shot \(0\.0, −\d\.\d to \+\d\.\d\)\."
    assert re.fullmatch(level, told[1])
    assert told[2].startswith("D is worse than A on standard 5-shot (−25.0"), "a bullet for each verdict"
    assert "D cannot be told from guessing on standard 5-shot (25.0 %)." in page
    assert "A cannot be told from guessing" not in page
    assert "3 comparisons at the 5 % level after Holm's adjustment" in page


def test_the_words_call_members_level_that_are(tmp_path: Path) -> None:
    half = share(0.5)
    page = build_report(make_run(tmp_path / "2", {"a": half, "b": half}), tmp_path / "out").page.read_text()
    assert "a and b are exactly level on standard 5-shot (50.0 %)." in page
    assert "highest on" not in page
    three = {"a": half, "b": half, "c": share(0.49), "d": share(0.1)}
    page = build_report(make_run(tmp_path / "4", three), tmp_path / "out").page.read_text()
    assert (
        "a and b are exactly level, the highest, on standard 5-shot (50.0 %, not distinguishable from c)."
        in page
    )


def test_the_words_say_where_members_differ_inside_a_tie(tmp_path: Path) -> None:
    def only(stem: float, humanities: float) -> Right:
        def right(n: int, rng: np.random.Generator) -> np.ndarray:
            subjects = np.arange(n) % 4  # algebra and physics, then law and history
            return np.where(subjects < 2, rng.random(n) < stem, rng.random(n) < humanities).astype(float)

        return right

    members: dict[str, Right] = {"a": only(0.5, 0.5), "b": only(0.8, 0.2), "c": only(0.5, 0.5)}
    page = build_report(make_run(tmp_path / "run", members, n=1200), tmp_path / "out").page.read_text()
    assert re.search(
        r"By category, standard 5-shot, in percent: STEM: a (4|5)[0-9.]+, b (7|8)[0-9.]+, c (4|5)[0-9.]+; "
        r"humanities: a (4|5)[0-9.]+, b (1|2)[0-9.]+, c (4|5)[0-9.]+; guessing gives 25\.0\.",
        page,
    )
    assert re.search(
        r"Not distinguishable on the whole, but in parts \(4 comparisons of categories after Holm's "
        r"adjustment\): b is better than a on STEM in standard 5-shot \(\+\d\d\.\d\); b is worse than a on "
        r"humanities in standard 5-shot \(−\d\d\.\d\)\.",
        page,
    )
    assert "c is better" not in page
    level = build_report(planted(tmp_path / "level"), tmp_path / "out").page.read_text()
    assert "in parts" not in level


def test_tables_carry_the_same_verdicts_and_full_precision(tmp_path: Path) -> None:
    results = planted(tmp_path / "run")
    build_report(results, tmp_path)
    table = (tmp_path / "tables" / "differences.md").read_text()
    assert "| standard 5-shot | B | +10.0 |" in table
    assert "**better**" in table
    data = pd.read_csv(tmp_path / "tables" / "differences.csv")
    pd.testing.assert_series_equal(data["p"], results.differences()["p"])
    assert data["match"].unique().tolist() == ["not audited."]
    accuracy = (tmp_path / "tables" / "accuracy.md").read_text()
    assert r"| B | **60.0 \[57.2, 62.7\]** |" in accuracy
    assert "in brackets, its 95 % interval (Wilson's)" in accuracy
    assert "| guessing | 25.0 |" in accuracy
    assert "n = 1,200 items in every column" in accuracy


def test_a_dagger_marks_what_is_not_distinguishable_from_the_best(tmp_path: Path) -> None:
    build_report(make_run(tmp_path / "run", {"a": share(0.5), "b": share(0.51), "c": share(0.2)}), tmp_path)
    table = (tmp_path / "tables" / "accuracy.md").read_text()
    assert re.search(r"\| a \| 50\.0 \\\[45\.1, 54\.9\\\]† \|", table)
    assert re.search(r"\| b \| \*\*51\.0 \\\[46\.1, 55\.9\\\]\*\* \|", table)
    assert re.search(r"\| c \| 20\.0 \\\[16\.4, 24\.2\\\] \|", table)
    assert "†: not distinguishable from it" in table


_ELSEWHERE = ("answer_forms", "measures", "phonebook", "prompts", "published", "perplexity", "ruler")
_ON_MMLU = [part.name for part in all_parts().tables if not part.name.startswith(_ELSEWHERE)]


def test_every_table_bears_the_match_verdict(tmp_path: Path) -> None:
    match = {"match": ["declared matched by the family file", "not audited"]}
    files = build_report(
        make_run(tmp_path / "run", {"a": share(0.5), "b": share(0.6)}, manifest=match), tmp_path
    )
    told = "declared matched by the family file; not audited."
    assert len(files.tables) == 3 * len(_ON_MMLU)
    for path in files.tables:
        assert told in path.read_text(), path
    assert files.page.read_text().count(f"Match: {told}") >= len(_ON_MMLU) - 2


def test_the_same_results_give_the_same_bytes(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", {"a": share(0.5), "b": share(0.6)}, conditions=FORMATS, n=80)
    first = build_report(run, tmp_path / "1")
    again = build_report(load_results(tmp_path / "run"), tmp_path / "2")
    for one, other in zip(
        [first.page, *first.tables, *first.figures], [again.page, *again.tables, *again.figures], strict=True
    ):
        assert one.read_bytes() == other.read_bytes(), one
    assert len(first.figures) == 2 * len(
        [part for part in all_parts().figures if not part.name.startswith(_ELSEWHERE)]
    )


def test_links_lead_to_files(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", {"a": share(0.5), "b": share(0.6)}, conditions=FORMATS, n=40)
    page = build_report(run, tmp_path / "out").page
    links = re.findall(r"\]\(([^)]+)\)", page.read_text())
    assert len(links) > 20
    for link in links:
        assert (page.parent / link).is_file(), link


def test_an_earlier_reports_figures_do_not_stay(tmp_path: Path) -> None:
    build_report(make_run(tmp_path / "2", {"a": share(0.5), "b": share(0.6)}, n=40), tmp_path / "out")
    assert (tmp_path / "out" / "figures" / "differences.png").exists()
    files = build_report(make_run(tmp_path / "1", {"a": share(0.5)}, n=40), tmp_path / "out")
    assert not (tmp_path / "out" / "figures" / "differences.png").exists()
    assert not (tmp_path / "out" / "tables" / "differences.md").exists()
    assert "with one member, nothing is compared" in files.page.read_text()
    assert "†" not in files.page.read_text()


def test_a_failed_member_is_a_dash_with_a_note(tmp_path: Path) -> None:
    make_run(tmp_path, {"a": share(0.5), "b": share(0.6), "c": share(0.3)}, n=80, conditions=FORMATS)
    failed = header(
        "b", variant="cloze-5shot", labels=FORMATS["cloze-5shot"], items=0, status="failed", error="NaN | x"
    )
    Store(tmp_path).write_cell(failed, [])
    next(tmp_path.rglob("c/*standard-0shot.json")).unlink()
    results = load_results(tmp_path)
    files = build_report(results, tmp_path / "out")
    accuracy = (tmp_path / "out" / "tables" / "accuracy.md").read_text()
    assert re.search(r"\| b \|( [^|]+\|){5} — \|", accuracy)
    assert "b · mmlu · cloze-5shot: failed (NaN \\| x)." in accuracy
    assert "c · mmlu · standard-0shot: no result." in files.page.read_text()
    assert "Incomplete in 2 places" in files.page.read_text()
    assert "failed" in (tmp_path / "out" / "tables" / "cost.md").read_text()


def test_a_run_without_any_complete_cell_says_why(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.write_manifest({})
    store.write_cell(header(items=0, status="failed", error="out of memory"), [])
    with pytest.raises(RunError, match=r"no complete cell.*out of memory"):
        build_report(load_results(tmp_path), tmp_path / "out")


def test_names_are_only_words_wherever_they_land(tmp_path: Path) -> None:
    subjects = {f"{HOSTILE} {n}": HOSTILE for n in range(3)}
    members = {HOSTILE: share(0.5), "中文 [bold]x[/bold]": share(0.3)}
    hostile = {"command": "a ``` b", "match": [HOSTILE], "name": HOSTILE, "versions": {"x": HOSTILE}}
    results = make_run(tmp_path / "run", members, n=60, subjects=subjects, manifest=hostile)
    files = build_report(results, tmp_path / "out")
    for path in [files.page, *(path for path in files.tables if path.suffix == ".md")]:
        text = path.read_text()
        html = MarkdownIt("commonmark").enable("table").render(text)
        assert "<script" not in html
        assert "evil" in html
        assert 'href="http' not in html
        assert html.count("<h1") <= 1
        rows = [line for line in text.splitlines() if line.startswith("|")]
        for row in rows:
            assert row.endswith("|")
        # Every row of a table has as many unescaped borders as the one before it.
        borders = [len(re.findall(r"(?<!\\)\|", row)) for row in rows]
        starts = [at for at, line in enumerate(text.splitlines()) if re.match(r"\|( :?-+:? \|)+$", line)]
        assert starts
        assert len(set(borders)) <= len(starts)
    for path in (path for path in files.tables if path.suffix == ".tex"):
        check_latex(path.read_text())
    assert "[bold]x[/bold]" in shown(results)
    assert "<script>" not in (tmp_path / "out" / "figures" / "radar.svg").read_text()


def check_latex(text: str) -> None:
    """Braces balance, rows have as many cells as columns, and no special character stands bare."""
    depth = 0
    for before, one in zip(" " + text, text, strict=False):
        if one in "{}" and before != "\\":
            depth += 1 if one == "{" else -1
            assert depth >= 0
    assert depth == 0
    for table in re.findall(r"\\begin\{table\}.*?\\end\{table\}", text, re.DOTALL):
        columns = re.search(r"\\begin\{tabular\}\{([lr]+)\}", table)
        assert columns
        body = table.partition(r"\midrule")[2].partition(r"\bottomrule")[0]
        for row in filter(None, (line.strip() for line in body.splitlines())):
            if row != r"\midrule":
                assert row.endswith(r" \\")
                assert len(re.findall(r"(?<!\\)&", row)) == len(columns[1]) - 1, row
                assert not re.search(r"(?<!\\)[%#_]", row), row
                assert row.isascii()
                assert row[0] not in "[*"


def test_the_screen_shows_table_and_words(tmp_path: Path) -> None:
    results = planted(tmp_path)
    text = shown(results)
    assert re.search(r"B\s+60\.0 *\n\s+\[57\.2, 62\.7\]", text)
    assert "in brackets, its 95 % interval" in text
    assert "• B scores highest" in text
    assert "• Match: not audited." in text
    assert "Compared with B" in shown(results, ReportSettings(baseline="B"))
    with pytest.raises(RequestError, match="no member 'Z'"):
        summary(results, ReportSettings(baseline="Z"))


def test_six_conditions_fit_a_screen(tmp_path: Path) -> None:
    members = {"transformer": share(0.5), "mamba": share(0.51)}
    text = shown(make_run(tmp_path, members, n=400, conditions=FORMATS), width=100)
    assert re.search(r"transformer( +50\.0†){6}", text)
    assert re.search(r"\n( +\[45\.1, 54\.9\]){6}", text)


def mixed(folder: Path, *, with_loss: bool = False) -> RunResults:
    """Two members, seven conditions of one task, three of another, and a text if asked for."""
    store = Store(folder)
    store.write_manifest({})
    cells = [("easy", n) for n in range(7)] + [("hard", n) for n in range(3)]
    for task, shots in cells:
        for member, right in (("a", 40), ("b", 10 if task == "easy" else 40)):
            labels = {"format": "cloze", "shots": shots}
            made = header(member, task, f"{shots}", labels=labels, items=40)
            store.write_cell(made, rows([1] * right + [0] * (40 - right)))
    for member in ("a", "b") if with_loss else ():
        store.write_cell(loss_header(member, "0", 0, items=40), losses([1.0] * 40))
    return load_results(folder)


def test_many_conditions_are_told_by_task(tmp_path: Path) -> None:
    results = mixed(tmp_path / "run")
    page = build_report(results, tmp_path / "out").page.read_text()
    assert "b is worse than a on all 7 conditions of easy (−75.0)" in page
    assert "b is not distinguishable from a on all 3 conditions of hard" in page
    accuracy = (tmp_path / "out" / "tables" / "accuracy.md").read_text()
    assert re.findall(r"Accuracy, (\w+)", accuracy) == ["easy", "hard"], "a table a task, and none of losses"
    text = shown(mixed(tmp_path / "loss", with_loss=True), width=60)
    assert re.search(r"condition +a +b", text)
    assert re.search(r"easy cloze 6-shot +100\.0 \[91\.2, 100\.0\] +25\.0 \[14\.2, 40\.2\]", text)
    assert "text context=0" not in text.split("Score in percent")[0]


def test_an_interval_at_the_end_of_the_scale_is_shown_as_it_lies(tmp_path: Path) -> None:
    build_report(make_run(tmp_path / "run", {"a": share(1), "b": share(0)}, n=2), tmp_path)
    table = (tmp_path / "tables" / "accuracy.md").read_text()
    assert r"100.0 \[34.2, 100.0\]" in table
    assert r"0.0 \[0.0, 65.8\]" in table


@pytest.mark.parametrize("n", [1, 2, 5])
def test_tiny_runs_are_reported_without_inventing_certainty(tmp_path: Path, n: int) -> None:
    files = build_report(make_run(tmp_path / "run", {"a": share(1), "b": share(0)}, n=n), tmp_path / "out")
    page = files.page.read_text()
    assert (
        "At least 6 items are needed, so there are too few to tell b from a on standard 5-shot (−100.0"
        in page
    )
    assert "scores highest on standard 5-shot (100.0 %, too few items to tell from b)" in page
    assert "not distinguishable from a" not in page
    assert f"same {amount(n, 'item')} of" in page
    table = (tmp_path / "out" / "tables" / "differences.md").read_text()
    assert "| too few items to tell (6) |" in table
    assert "from how many items on it would" in table


def test_runs_without_subjects_tokens_or_margins_are_reported(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.write_manifest({"conditions": []})
    for member, score in (("a", 1.0), ("b", 0.5)):
        made = [
            {"item": str(at), "prompt_hash": "h", "target": "text", "prediction": "x", "f1": score * (at % 2)}
            for at in range(20)
        ]
        known: dict[str, Any] = {
            "kind": "lm_eval",
            "labels": {"name": "squad"},
            "metric": "f1",
            "metrics": ("f1",),
        }
        store.write_cell(header(member, "lm_eval", "squad", chance=None, items=20, seconds=0, **known), made)
    files = build_report(load_results(tmp_path), tmp_path / "out")
    names = {path.stem for path in files.tables}
    assert names == {"accuracy", "differences", "cost"}
    accuracy = (tmp_path / "out" / "tables" / "accuracy.md").read_text()
    assert "guessing" not in accuracy
    assert "Student's t" in accuracy
    assert "squad" in accuracy
    assert "No radar chart" in files.page.read_text()
    assert "sign-flip test" in (tmp_path / "out" / "tables" / "differences.md").read_text()


def test_items_without_a_score_are_counted(tmp_path: Path) -> None:
    results = make_run(
        tmp_path / "run", {"a": share(0.5), "b": lambda n, rng: share(0.5)(n - 8, rng).tolist() + [None] * 8}
    )
    page = build_report(results, tmp_path / "out").page.read_text()
    assert "b · mmlu · standard-5shot: 8 of 400 items without a score." in page
    assert results.differences()["n"].tolist() == [392]


def test_a_folder_that_cannot_be_written_is_one_error(tmp_path: Path) -> None:
    results = make_run(tmp_path / "run", {"a": share(0.5)}, n=8)
    (tmp_path / "file").write_text("")
    with pytest.raises(RequestError, match="cannot be written"):
        build_report(results, tmp_path / "file" / "out")


@pytest.mark.parametrize(
    ("fields", "message"), [({"confidence": 1.0}, "less than 1"), ({"colour": 1}, "Extra inputs")]
)
def test_settings_refuse_what_they_do_not_know(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ReportSettings(**fields)


def test_figure_formats_and_confidence_are_the_settings(tmp_path: Path) -> None:
    results = make_run(tmp_path / "run", {"a": share(0.5), "b": share(0.6)}, n=100)
    files = build_report(results, tmp_path / "out", ReportSettings(confidence=0.9, figure_formats=("pdf",)))
    assert {path.suffix for path in files.figures} == {".pdf"}
    page = files.page.read_text()
    assert "90 % interval" in page
    assert "10 % level" in page
    assert "![" not in page


def test_the_screen_says_what_bold_and_dagger_mean(tmp_path: Path) -> None:
    text = " ".join(shown(make_run(tmp_path / "run", {"a": share(0.5), "b": share(0.51)})).split())
    assert "50.0†" in text
    assert "Bold: the highest of its column. †: not distinguishable from it" in text
    text = shown(make_run(tmp_path / "alone", {"a": share(0.5)}))
    assert "†" not in text


def test_a_mark_on_the_screen_has_a_legend_only_where_there_are_marks(tmp_path: Path) -> None:
    text = shown(mixed(tmp_path / "run"))
    assert "†" not in text
