"""Reports of runs of which anything is missing, failed, too long, without scores or damaged."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from rich.console import Console

from archbench import reporting
from archbench.errors import RunError
from archbench.report.escape import markdown
from archbench.report.findings import Findings
from archbench.report.settings import ReportSettings
from archbench.reporting import all_parts, build_report, summary
from archbench.results.frames import RunResults, load_results
from archbench.results.store import Store
from archbench.statistics import paired
from tests.command import call
from tests.report.everything import CELLS, MEMBERS, STATES, Cell, make_pool, make_run
from tests.results.synthetic import header

TABLES = {part.name: part.make for part in all_parts().tables}
WITHOUT_FIGURES = replace(all_parts(), figures=())
NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "look_into_a_run.ipynb"


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every cell in every state."""
    return make_pool(tmp_path_factory.mktemp("pool"))


def scored(results: RunResults) -> set[Cell]:
    """Cells that have a score."""
    frame = results.scores()
    frame = frame[frame["n"] > 0]
    return set(zip(frame["member"], frame["task"], frame["variant"], strict=True))


def check_frames(results: RunResults) -> None:
    """Make every frame that there is."""
    repr(results)
    results._repr_html_()
    for frame in (results.scores(), results.differences(), results.cells, results.items(), results.margins()):
        assert "member" in frame
    results.macro()
    results.scores(by="category")
    for task in {one.task for one in results.conditions}:
        results.items(task)
    json.loads(results.scores().to_json(orient="records"))


def unscored(findings: Findings, cell: Cell) -> bool:
    """Whether a member has an item without a score among those that are compared."""
    member, task, variant = cell
    (condition,) = [one for one in findings.results.conditions if (one.task, one.variant) == (task, variant)]
    items = findings.results.items(task, member)
    kept = items[(items["variant"] == variant) & ~items["left_out"]]
    return bool(kept[condition.metric].isna().any())


def check_claims(findings: Findings, states: Mapping[Cell, str]) -> None:
    """The first sentence claims of each member what is so, and the others nothing of who has no score."""
    scope, *others = all_parts().sentences(findings)
    have = scored(findings.results)
    planned = [one for one in CELLS if "+" not in one[2] and any((m, *one[1:]) in have for m in MEMBERS)]
    found = re.search(r"^(.*?) answered (?:the same|all) ", scope)
    named = set(re.split(", | and ", found[1])) if found and found[1] != "No member" else set()
    usual = ("whole", "partly excluded", "excluded")
    for member in MEMBERS:
        mine = [one for one in planned if one[0] == member]
        # What is left out for every member is no gap of one's own.
        # Nor is an item without a score that is among them.
        every = bool(mine) and all(
            one in have and (states.get(one, "whole") in usual or not unscored(findings, one)) for one in mine
        )
        assert (member in named) == every, scope
        if not any(one in have for one in CELLS if one[0] == member):
            assert re.search(rf"{member}\b.* no score in any of them|nobody|No member has", scope), scope
            about = [one for one in others if re.search(rf"\b{member}\b", one)]
            # An answer without a score has a form nevertheless.
            allowed = ("Incomplete", "Nothing is compared", f"{member} left answers empty")
            assert all(one.startswith(allowed) for one in about), about


SOME = st.dictionaries(st.sampled_from(CELLS), st.sampled_from(STATES), max_size=20)
WHOLE = st.builds(
    lambda who, what, state: {
        cell: state for cell in CELLS if (who is None or cell[0] in who) and (what is None or cell[1] in what)
    },
    st.none() | st.sets(st.sampled_from(MEMBERS), min_size=1),
    st.none() | st.sets(st.sampled_from(sorted({cell[1] for cell in CELLS})), min_size=1),
    st.sampled_from(STATES),
)


def check_report(pool: Path, states: dict[Cell, str], rebuilt: bool) -> None:
    """Every frame of a run in this state can be made, and its page says what it lacks."""
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as name:
        patch.setattr(reporting, "all_parts", lambda: WITHOUT_FIGURES)
        patch.setattr(paired, "RESAMPLES", 50)
        folder = make_run(Path(name) / "run", pool, states)
        if rebuilt:
            (folder / "manifest.json").write_text("{")
        if rebuilt and not list(folder.glob("cells/*/*.json")):
            return
        results = load_results(folder)
        check_frames(results)
        if not scored(results):
            with pytest.raises(RunError, match=r"no complete cell to report on|nothing to report on"):
                build_report(results, Path(name) / "out")
            return
        text = build_report(results, Path(name) / "out").page.read_text(encoding="utf-8")
        findings = Findings(results, ReportSettings())
        Console(file=None, quiet=True).print(summary(results))
        notes = text.partition("## Notes")[2]
        if rebuilt:
            assert "manifest.json is damaged" in notes
            return
        check_claims(findings, states)
        for cell, state in states.items():
            assert (markdown(f"{' · '.join(cell)}: ") in notes) == (state != "whole"), (cell, state)


def drawn(examples: int) -> Any:
    """Hypothesis's settings; to make a failing run of dozens of cells smaller takes minutes."""
    phases = [Phase.explicit, Phase.reuse, Phase.generate]
    return settings(max_examples=examples, phases=phases, suppress_health_check=list(HealthCheck))


@drawn(3)
@given(WHOLE, SOME, st.booleans())
def test_whatever_is_lacking_is_said_and_the_rest_reported(
    pool: Path, whole: dict[Cell, str], some: dict[Cell, str], rebuilt: bool
) -> None:
    check_report(pool, whole | some, rebuilt)


@pytest.mark.slow
@drawn(40)
@given(WHOLE, SOME, st.booleans())
def test_whatever_else_is_lacking_is_said_and_the_rest_reported(
    pool: Path, whole: dict[Cell, str], some: dict[Cell, str], rebuilt: bool
) -> None:
    check_report(pool, whole | some, rebuilt)


def cells(**which: Any) -> list[Cell]:
    """Cells of a member or of a task."""
    return [
        one for one in CELLS if which.get("member", one[0]) == one[0] and which.get("task", one[1]) == one[1]
    ]


PATTERNS: dict[str, dict[Cell, str]] = {
    **{
        f"no {task}": dict.fromkeys(cells(task=task), "missing") for task in sorted({one[1] for one in CELLS})
    },
    **{
        f"only {task}": {one: "missing" for one in CELLS if one[1] != task}
        for task in sorted({o[1] for o in CELLS})
    },
    "the baseline missing": dict.fromkeys(cells(member="ada"), "missing"),
    "the last failed": dict.fromkeys(cells(member="cleo"), "failed"),
    "one alone": {one: "missing" for one in CELLS if one[0] != "bea"},
    "one alone, partly": {one: "missing" for one in CELLS if one[0] != "bea" or "5shot" in one[2]},
    "one each": {one: "missing" for at, one in enumerate(CELLS) if at % 3},
    "one took nothing": dict.fromkeys(cells(member="bea"), "excluded"),
    "parts": dict.fromkeys(CELLS, "partly scored"),
    "parts excluded": {one: "partly excluded" for one in CELLS if one[0] == "ada"},
    "one without a score": dict.fromkeys(cells(member="bea"), "unscored"),
    "damaged": dict.fromkeys(cells(member="bea"), "damaged"),
    "the larger halves missing": {one: "missing" for one in CELLS if re.search("20|64", one[2])},
    "the smaller halves missing": {one: "missing" for one in CELLS if re.search("10|-0", one[2])},
}


@pytest.mark.parametrize("pattern", PATTERNS)
def test_every_table_and_figure_of_a_run_that_is_not_finished(
    pool: Path, tmp_path: Path, pattern: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    states = PATTERNS[pattern]
    monkeypatch.setattr(paired, "RESAMPLES", 50)
    findings = Findings(load_results(make_run(tmp_path, pool, states)), ReportSettings())
    for part in all_parts().tables:
        name, sheet = part.name, part.make(findings)
        kind = name.partition("_")[0]
        if kind in ("phonebook", "ruler", "perplexity"):
            has = any(task == kind for _, task, _ in scored(findings.results))
            assert (sheet is not None) == has or name == "perplexity_positions", name
    for part in all_parts().figures if not pattern.startswith("no ") else ():
        part.draw(findings)
    check_claims(findings, states)


def first(pool: Path, folder: Path, states: dict[Cell, str]) -> str:
    """What the report says first."""
    findings = Findings(load_results(make_run(folder, pool, states)), ReportSettings())
    return all_parts().sentences(findings)[0]


def test_who_answered_nothing_is_not_said_to_have_been_asked(pool: Path, tmp_path: Path) -> None:
    only = {one: "missing" for one in CELLS if one[1] != "mmlu"}
    scope = first(pool, tmp_path / "1", only | dict.fromkeys(cells(member="cleo"), "missing"))
    assert scope.startswith("ada and bea answered the same 8 items of mmlu in 2 conditions")
    assert (
        "; cleo has no score in any of them (notes); nobody has a score in 8 further conditions." in scope
        or ("; nobody has a score in phonebook" in scope)
    )
    scope = first(pool, tmp_path / "2", only | {("cleo", "mmlu", "standard-5shot"): "failed"})
    assert "; cleo answered a part of them (notes)" in scope
    scope = first(
        pool, tmp_path / "3", only | {(one, "mmlu", "standard-5shot"): "partly scored" for one in MEMBERS}
    )
    assert scope.startswith("No member answered all items of mmlu in 2 conditions")
    alone = {one: "missing" for one in CELLS if one[0] != "ada"} | only
    scope = first(pool, tmp_path / "4", alone)
    assert scope.startswith("ada answered all 8 items of mmlu")
    assert "bea and cleo have no score in any of them (notes)" in scope


def test_nothing_is_compared_with_a_baseline_without_scores(pool: Path, tmp_path: Path) -> None:
    states = dict.fromkeys(cells(member="ada"), "failed")
    findings = Findings(load_results(make_run(tmp_path, pool, states)), ReportSettings())
    assert "Nothing is compared with ada, the baseline, which has no score." in all_parts().sentences(
        findings
    )


def test_what_lacks_under_changed_prompts_is_noted(
    pool: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reporting, "all_parts", lambda: WITHOUT_FIGURES)
    states = {("bea", "mmlu", "standard-5shot+labels"): "missing"}
    text = build_report(
        load_results(make_run(tmp_path / "run", pool, states)), tmp_path / "out"
    ).page.read_text()
    assert f"- {markdown('bea · mmlu · standard-5shot+labels: no result.')}" in text
    assert "Incomplete: bea" in text


def test_a_csv_has_no_number_where_there_is_none(pool: Path, tmp_path: Path) -> None:
    states = dict.fromkeys(cells(member="ada"), "missing")
    findings = Findings(load_results(make_run(tmp_path, pool, states)), ReportSettings())
    sheet = TABLES["perplexity"](findings)
    assert sheet is not None
    assert sheet.data.set_index("member").loc["ada", ["nats", "perplexity", "bits"]].isna().all(axis=None)


def test_who_has_no_item_in_common_with_the_highest_is_open(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.write_manifest({"members": [{"name": "a"}, {"name": "b"}]})
    for member, known in (("a", range(4)), ("b", range(4, 8))):
        made = [
            {
                "item": str(at),
                "prompt_hash": "h",
                "target": "x",
                "f1": 0.5 + (member == "a") / 4 if at in known else None,
            }
            for at in range(8)
        ]
        fields: dict[str, Any] = {
            "metric": "f1",
            "metrics": ("f1",),
            "kind": "lm_eval",
            "labels": {"name": "qa"},
            "chance": None,
        }
        store.write_cell(header(member, items=8, **fields), made)
    findings = Findings(load_results(tmp_path), ReportSettings())
    text = " ".join(all_parts().sentences(findings))
    assert "too few items to distinguish it from b" in text
    assert "No member answered all" in text
    assert "Nothing is compared with a, the baseline, which has no item in common with another." in text
    accuracy = TABLES["accuracy"](findings)
    assert accuracy is not None
    assert "†: too few items in common" in accuracy.to_markdown()


@pytest.mark.parametrize("pattern", ["no phonebook", "no ruler", "no mmlu", "the baseline missing"])
def test_the_commands_and_the_notebook_work_on_it(
    pool: Path, here: Path, pattern: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reporting, "all_parts", lambda: WITHOUT_FIGURES)
    monkeypatch.setattr(paired, "RESAMPLES", 50)
    make_run(here / "results" / "quick", pool, PATTERNS[pattern])
    done = call("report", "results/quick", "--json")
    assert done.exit_code == 0, done.output
    printed = json.loads(done.stdout)
    assert printed["warnings"] == []
    assert Path(printed["page"]).is_file()
    done = call("report", "results/quick")
    assert "Incomplete" in done.stderr, "on the screen too"
    names: dict[str, object] = {}
    for cell in json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] == "code":
            exec(compile("".join(cell["source"]), "notebook", "exec"), names)


def test_the_command_says_what_is_damaged(pool: Path, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reporting, "all_parts", lambda: WITHOUT_FIGURES)
    make_run(here / "run", pool, {("bea", "mmlu", "standard-5shot"): "damaged"})
    (here / "run" / "manifest.json").write_text('{"members": null}')
    done = call("report", "run", "--json")
    manifest, *_, cell = json.loads(done.stdout)["warnings"]
    assert "manifest.json is damaged" in manifest
    assert "The items of bea · mmlu · standard-5shot cannot be used" in cell
