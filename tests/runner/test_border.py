"""`engine.border` reaches the model, and cells of one definition are not taken for those of another."""

from __future__ import annotations

from pathlib import Path

import pytest

from archbench.errors import RequestError
from archbench.results.store import Store
from archbench.runner.member.load import load_member
from archbench.runner.plan import make_plan
from archbench.suite import Suite, load_suite


def suite(shelf: Path, *overrides: str) -> Suite:
    members = {"llama": str(shelf / "llama")}
    tasks = {"mmlu": {"kind": "mmlu", "data": str(shelf / "mmlu"), "shots": [0]}}
    return load_suite({"name": "one", "members": members, "tasks": tasks}, overrides)


def test_definitions_reach_the_model_and_the_keys(shelf: Path, tmp_path: Path) -> None:
    plans = {
        name: make_plan(suite(shelf, f"engine.border={name}"), Store(tmp_path))
        for name in ("exact", "lm_eval")
    }
    keys = [{cell.key for cell in plan.cells} for plan in plans.values()]
    assert not keys[0] & keys[1]
    assert {cell.key for cell in make_plan(suite(shelf), Store(tmp_path)).cells} == keys[0]
    for name, plan in plans.items():
        assert load_member(plan.members[0], plan.suite.engine).border == name
    with pytest.raises(RequestError, match=r"engine\.border"):
        suite(shelf, "engine.border=lmeval")
