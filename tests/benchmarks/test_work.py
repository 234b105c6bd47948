"""A run is held to the work that is written down for it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from archbench.formats.yaml_file import read_yaml
from archbench.results.store import Store
from archbench.schema import validate
from archbench.suite import load_suite
from benchmarks import work
from tests.results.synthetic import header, rows

FED: dict[str, Any] = {
    "tokens_requested": 1000,
    "tokens_distinct": 100,
    "tokens_forwarded": 110,
    "tokens_padded": 3,
    "passes": 7,
    "sharing": "chunk",
    "requests_known": 0,
}
BOUNDS = {"a": {"forwarded": 1.11, "cells": {"mmlu": 1.2}, "passes": 14}}


def run(folder: Path, *cells: dict[str, Any]) -> Path:
    """A run of one member, which plans two cells."""
    store = Store(folder)
    variants = ["cloze-0shot", "cloze-5shot"]
    plan = [{"member": "a", "task": "mmlu", "variant": variant, "key": "k1"} for variant in variants]
    store.write_manifest({"name": "made-up", "members": [{"name": "a"}], "cells": plan})
    for variant, change in zip(variants, cells, strict=False):
        failed = change.get("status") == "failed"
        head = header("a", "mmlu", variant, **FED | change | {"items": 0 if failed else 4})
        store.write_cell(head, [] if failed else rows([1, 0, 1, 1]))
    return folder


def check(folder: Path, bounds: Any, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """Exit code, and everything printed."""
    file = folder / "bounds.yaml"
    file.write_text(json.dumps({"members": bounds}), encoding="utf-8")
    code = 0
    try:
        work.main([str(folder), "--bounds", str(file)])
    except SystemExit as stopped:
        code = int(str(stopped.code))
    out, err = capsys.readouterr()
    return code, out + err


def test_a_run_within_its_bounds_passes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, told = check(run(tmp_path, {}, {}), BOUNDS, capsys)
    assert code == 0
    assert "BROKEN" not in told
    assert "forward passes" in told
    assert told.splitlines()[0].split() == ["member", "what", "found", "at", "most"]


@pytest.mark.parametrize(
    ("cells", "line"),
    [
        ([{}, {"passes": 8}], "a forward passes 15 14"),
        ([{}, {"tokens_forwarded": 130}], "a forwarded ÷ distinct 1.200 1.110"),
        ([{}, {"tokens_forwarded": 121}], "a forwarded ÷ distinct, highest mmlu cell 1.210 1.200"),
        ([{}, {"sharing": "none"}], "a cells that share no prefix 1 0"),
        ([{}, {"requests_known": 2}], "a requests that were answered already 2 0"),
        ([{}], "a cells missing, failed or of unknown work 1 0"),
        ([{}, {"tokens_distinct": None}], "a cells missing, failed or of unknown work 1 0"),
        ([{}, {"status": "failed", "error": "x"}], "a cells missing, failed or of unknown work 1 0"),
    ],
)
def test_more_work_than_is_written_down_fails(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], cells: list[dict[str, Any]], line: str
) -> None:
    code, told = check(run(tmp_path, *cells), BOUNDS, capsys)
    assert code == 1
    broken = [" ".join(one.split()) for one in told.splitlines() if "BROKEN" in one]
    assert f"{line} BROKEN" in broken
    assert "broken. If the work had to grow, say why" in told


@pytest.mark.parametrize(
    ("bounds", "part"),
    [
        ({}, "not about the same members: a stands in one of them only"),
        (BOUNDS | {"b": BOUNDS["a"]}, "not about the same members: b stands in one of them only"),
        ({"a": {"forwarded": 1.1}}, "'members.a.passes' is missing"),
    ],
)
def test_bounds_of_another_run_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], bounds: Any, part: str
) -> None:
    code, told = check(run(tmp_path, {}, {}), bounds, capsys)
    assert code == 2
    assert part in told


def test_a_folder_without_a_run_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, told = check(tmp_path, BOUNDS, capsys)
    assert code == 2
    assert "is not an archbench run" in told


def test_the_quick_suites_bounds_are_of_its_tasks() -> None:
    bounds = validate(work.BoundsFile, read_yaml(work.QUICK))
    kinds = {entry.kind for entry in load_suite("quick").tasks.values()}
    assert bounds.members
    assert all(set(one.cells) == kinds for one in bounds.members.values())
    assert all(one.cells["mmlu"] <= 1.15 for one in bounds.members.values())
