"""Headers that somebody has changed by hand: left out and named where they no longer fit their task."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from archbench import reporting
from archbench.report.escape import markdown
from archbench.reporting import all_parts, build_report
from archbench.results.frames import load_results
from archbench.results.shapes import misfit
from archbench.results.store import Store
from archbench.results.writing import slug
from archbench.statistics import paired
from archbench.tasks.entry import TaskEntry
from archbench.tasks.kinds import kinds
from archbench.tasks.lm_eval.entry import LmEvalEntry
from archbench.tasks.mmlu.entry import MmluEntry
from archbench.tasks.perplexity.entry import PerplexityEntry
from archbench.tasks.phonebook.entry import PhonebookEntry
from archbench.tasks.ruler.entry import RulerEntry
from tests.command import call
from tests.report.everything import CONDITIONS, MEMBERS, make_pool, make_run

ENTRIES: list[TaskEntry] = [
    MmluEntry(kind="mmlu", data="d", shots=[0, 5], formats=["standard", "cloze"], perturb=["answer_prefix"]),
    PerplexityEntry(kind="perplexity", data="d", contexts=[0, 64], lengths=[256]),
    PhonebookEntry(kind="phonebook", entries=[10], perturb=["answer_prefix"]),
    PhonebookEntry(kind="phonebook", lengths=[256]),
    RulerEntry(kind="ruler", lengths=[1024]),
    LmEvalEntry(kind="lm_eval", tasks=["piqa"], metric="acc", num_fewshot=[0, 5], perturb=["answer_prefix"]),
    LmEvalEntry(kind="lm_eval", tasks=["piqa"], metric="acc"),
]
WITHOUT_FIGURES = replace(all_parts(), figures=())
ONE_EACH = {one["kind"]: one for one in CONDITIONS}


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every cell in every state."""
    return make_pool(tmp_path_factory.mktemp("pool"))


def edited(folder: Path, about: Mapping[str, Any], change: Mapping[str, Any], member: str = "bea") -> Path:
    """Change the header of a cell in a run, and say where it lies."""
    path = folder / "cells" / member / f"{slug(about['task'])}.{slug(about['variant'])}.json"
    content = json.loads(path.read_text(encoding="utf-8")) | change
    path.unlink()  # a link to the pool's
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda one: one.kind)
def test_what_entries_make_is_what_their_kind_states(entry: TaskEntry) -> None:
    assert {one.kind for one in ENTRIES} >= {name for name, kind in kinds().items() if kind.entry.SHAPE}
    for variant in entry.variants():
        assert misfit(entry.kind, variant.labels, variant.metric) is None


def not_fitting(about: Mapping[str, Any], change: str) -> dict[str, Any]:
    """A header's changed keys."""
    labels = dict(about["labels"])
    other = ONE_EACH["phonebook" if about["kind"] != "phonebook" else "ruler"]
    changes: dict[str, dict[str, Any]] = {
        "no labels": {"labels": {}},
        "one label more": {"labels": labels | {"depth": 3}},
        "no label's value": {"labels": labels | {list(labels)[-1]: -1}},
        "labels of another shape": {"labels": [labels]},
        "another kind": {"kind": other["kind"]},
        "no kind": {"kind": "nonsense"},
        "another metric": {"metric": "nonsense"},
        "another kind with its labels": {key: other[key] for key in ("kind", "labels")},
        "all of another kind": {key: other[key] for key in ("kind", "labels", "metric")}
        | {"metrics": [other["metric"]]},
    }
    return changes[change]


@pytest.mark.parametrize(
    "change",
    [
        *("no labels", "one label more", "no label's value", "labels of another shape", "another kind"),
        *("no kind", "another metric", "another kind with its labels", "all of another kind"),
    ],
)
def test_a_header_that_does_not_fit_its_task_is_left_out_and_named(
    pool: Path, here: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    monkeypatch.setattr(reporting, "all_parts", lambda: WITHOUT_FIGURES)
    monkeypatch.setattr(paired, "RESAMPLES", 20)
    folder = make_run(here / "run", pool, {})
    paths = [edited(folder, about, not_fitting(about, change)) for about in ONE_EACH.values()]
    done = call("report", "run", "--json")
    assert done.exit_code == 0, done.output
    warnings = json.loads(done.stdout)["warnings"]
    text = (here / "run" / "report" / "report.md").read_text(encoding="utf-8")
    for about, path in zip(ONE_EACH.values(), paths, strict=True):
        named = [one for one in warnings if f"{path.relative_to(here)} is left out, since " in one]
        if change in ("all of another kind", "no kind"):
            named = [one for one in warnings if f"bea · {about['task']} · {about['variant']}" in one]
        assert len(named) == 1, (about, warnings)
        assert markdown(named[0]) in text
        cell = ("bea", about["task"], about["variant"])
        assert not Store(folder).has(cell, "k1", about={"kind": about["kind"]}), "it is run again"


LABELS = st.dictionaries(
    st.sampled_from(["format", "shots", "length", "entries", "context", "window", "name", "prompt", "x"]),
    st.none() | st.booleans() | st.integers(-2, 2**70) | st.floats(allow_nan=False) | st.text(max_size=3),
    max_size=3,
)
CHANGES = st.fixed_dictionaries(
    {},
    optional={
        "kind": st.sampled_from([*kinds(), "nonsense", "Ruler"]),
        "labels": LABELS | st.sampled_from([one["labels"] for one in CONDITIONS]),
        "metric": st.sampled_from(["acc", "exact_match", "string_match", "compression", "source", "f1"]),
        "metrics": st.lists(st.sampled_from(["acc", "exact_match", "string_match", "source", "f1"])),
        "chance": st.none() | st.floats(0, 1),
        "family": st.none() | st.text(max_size=3),
        "variant": st.text(max_size=3),
        "items": st.integers(0, 9),
    },
)


def check_report(pool: Path, about: Mapping[str, Any], change: Mapping[str, Any], *, every: bool) -> None:
    """A report is made of a run in which a cell's header, or that of every member, was changed."""
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as name:
        patch.setattr(paired, "RESAMPLES", 20)
        folder = make_run(Path(name) / "run", pool, {})
        for member in MEMBERS if every else MEMBERS[1:2]:
            edited(folder, about, change, member)
        (folder / "manifest.json").unlink()  # otherwise it says which cells count
        build_report(load_results(folder), Path(name) / "out")


EDITS = {"about": st.sampled_from(CONDITIONS), "change": CHANGES, "every": st.booleans()}


@settings(max_examples=5, suppress_health_check=list(HealthCheck))
@given(**EDITS)
def test_whatever_is_changed_there_is_a_report(
    pool: Path, about: dict[str, Any], change: dict[str, Any], every: bool
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reporting, "all_parts", lambda: WITHOUT_FIGURES)
        check_report(pool, about, change, every=every)


@pytest.mark.slow
@settings(max_examples=15, suppress_health_check=list(HealthCheck))
@given(**EDITS)
def test_whatever_is_changed_there_are_figures(
    pool: Path, about: dict[str, Any], change: dict[str, Any], every: bool
) -> None:
    check_report(pool, about, change, every=every)
