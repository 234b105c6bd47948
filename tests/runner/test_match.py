"""What is not matched is not compared unasked, and every result says what was held equal."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import archbench
from archbench.errors import RequestError
from archbench.results.store import Store
from archbench.runner.match import match_members
from archbench.runner.plan import make_plan
from archbench.suite import load_suite
from tests.runner.test_run import content
from tests.runner.tiny import LLAMA

FAMILY = """\
name: world
title: Two
tokenizer: llama
controlled: [tokenizer, questions]
varies: [mixer]
items: {mmlu: mmlu}
members:
  attention: {path: llama}
  recurrence: {path: mamba}
"""


@pytest.fixture
def family(shelf: Path) -> Path:
    """The shelf as a families folder."""
    (shelf / "world.yaml").write_text(FAMILY, encoding="utf-8")
    return shelf


def test_a_family_brings_its_items_and_its_statement(family: Path, here: Path) -> None:
    suite = content(family, families=["world"])
    suite["members"] = {"mine": str(family / "mamba")}
    suite["tasks"]["mmlu"] |= {"data": "world", "formats": ["cloze"], "shots": [0]}
    # A folder of the family's name in the current directory does not stand in for the family's items.
    (here / "world").mkdir()
    results = archbench.run(suite, families=[family], quiet=True)
    assert results.members == ["attention", "recurrence", "mine"]
    audited, free = results.manifest["match"]
    assert audited.startswith("world: NOT matched: attention: data is unknown (nobody says)")
    assert free == "mine: NOT matched: no family declares it matched with anything"
    assert results.manifest["audits"][0]["members"].keys() == {"attention", "recurrence"}
    assert results.manifest["suite"]["tasks"]["mmlu"]["data"] == str(family / "mmlu")
    assert {header.family for header in results.headers} == {"world", None}


def test_what_is_not_matched_is_not_compared_unasked(family: Path, here: Path) -> None:
    for members in ({}, {"mine": str(family / "mamba")}):
        suite = content(family, families=["world"], members=members, allow_unmatched=False)
        with pytest.raises(RequestError, match=r"not matched.*data is unknown.*--allow-unmatched"):
            archbench.run(suite, families=[family], quiet=True)
    assert list(here.iterdir()) == []


def test_a_model_alone_is_compared_with_nothing(shelf: Path, here: Path) -> None:
    control = {"init": "random", "architecture": LLAMA, "tokenizer": str(shelf / "llama")}
    members = {"mine": str(shelf / "llama"), "control": control}
    suite = content(shelf, members=members, allow_unmatched=False)
    suite["tasks"]["mmlu"] |= {"formats": ["cloze"], "shots": [0]}
    manifest = archbench.run(suite, quiet=True).manifest
    assert (manifest["verdict"], manifest["match"]) == (None, ["nothing to match: mine alone"])


def test_a_declared_family_is_compared_and_the_table_says_so(family: Path, here: Path) -> None:
    text = FAMILY.replace(
        "controlled:", "data: stories\nbudget: {tokens: 5}\nmatch: {size: {tolerance: 9}}\ncontrolled:"
    )
    (family / "world.yaml").write_text(text, encoding="utf-8")
    suite = content(family, families=["world"], members={}, allow_unmatched=False)
    suite["tasks"]["mmlu"] |= {"formats": ["cloze"], "shots": [0]}
    manifest = archbench.run(suite, families=[family], quiet=True).manifest
    assert manifest["verdict"] == "declared"
    assert (
        "world: declared matched, not all of it verified (verified: tokenizer, size; declared: data"
        in (manifest["match"][0])
    )


def test_different_tokenizers_are_tried_on_the_items(shelf: Path, here: Path) -> None:
    for name, change in (
        ("same", ("<|end|>", "<|fin|>")),
        ("other", ('"add_prefix_space": false', '"add_prefix_space": true')),
    ):
        folder = here / name
        shutil.copytree(shelf / "mamba", folder)
        file = folder / "tokenizer.json"
        text = file.read_text(encoding="utf-8")
        assert change[0] in text
        file.write_text(text.replace(*change), encoding="utf-8")
    suite = content(shelf)
    suite["tasks"]["mmlu"] |= {"formats": ["cloze"], "shots": [0]}

    def difference(name: str) -> str:
        suite["members"] = {"a": str(shelf / "llama"), "b": str(here / name)}
        return match_members(make_plan(load_suite(suite), Store(here / "out"))).lines[-1]

    assert "differ, but encode all" in difference("same")
    assert "a / b encode" in difference("other")
    assert "differently" in difference("other")
