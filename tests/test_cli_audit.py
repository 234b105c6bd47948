"""`archbench audit`, and `--allow-unmatched` of `archbench run`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.command import call
from tests.runner.tiny import LLAMA, save_model, save_shelf

FAMILY = """\
name: world
title: Two
data: stories
budget: {tokens: 10}
match: {size: {tolerance: 9}}
members:
  a: {path: llama}
  b: {path: mamba}
items: {mmlu: mmlu}
"""


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("shelf")
    save_shelf(base)
    (base / "world.yaml").write_text(FAMILY, encoding="utf-8")
    (base / "apart.yaml").write_text(
        FAMILY.replace("name: world", "name: apart").replace("tolerance: 9", "tolerance: 0"), encoding="utf-8"
    )
    return base


def test_the_table(shelf: Path, here: Path) -> None:
    done = call("audit", "world", "--families", shelf, "--context", "300")
    assert done.exit_code == 0, done.output
    for part in ("tokenizer", "verified", "declared", "unknown", "KV bytes at 300", "state bytes"):
        assert part in done.stdout
    assert "Verdict: declared. world: declared matched, not all of it verified" in done.stdout
    apart = call("audit", "apart", "--families", shelf).stdout
    assert "Verdict: unmatched." in apart
    assert "- a: size differs" in apart


def test_the_document(shelf: Path, here: Path) -> None:
    found = json.loads(call("audit", "world", "--families", shelf, "--json", "--members", "b").stdout)
    assert (found["verdict"], list(found["members"])) == ("declared", ["b"])
    assert found["members"]["b"]["evidence"]["tokenizer"]["status"] == "verified"
    assert found["members"]["b"]["figures"]["parameters"] > 5000


def test_the_latex(shelf: Path, here: Path) -> None:
    text = call("audit", "world", "--families", shelf, "--latex").stdout
    assert r"\begin{tabular}{lrrr}" in text
    assert "Match: world: declared matched" in text


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["wurld"], "Did you mean 'world'?"),
        (["world", "--members", "a,c"], "no member 'c'"),
        (["world", "--json", "--latex"], "choose one"),
    ],
)
def test_wrong_requests(shelf: Path, here: Path, arguments: list[str], part: str) -> None:
    done = call("audit", *arguments, "--families", shelf)
    assert (done.exit_code, done.stdout) == (2, "")
    assert part in done.stderr
    assert "Traceback" not in done.stderr


def test_an_unmatched_run_needs_consent(shelf: Path, here: Path) -> None:
    sets = [f"mmlu.data={shelf}/mmlu", "mmlu.formats=[cloze]", "mmlu.shots=[0]", "engine.device=cpu"]
    sets += [f"members.one={shelf}/llama", f"members.two={shelf}/mamba"]
    command = ["run", "mmlu", *(part for text in sets for part in ("--set", text))]
    refused = call(*command)
    assert refused.exit_code == 2
    assert "no family declares them matched" in refused.stderr
    assert "--allow-unmatched" in refused.stderr
    assert list(here.iterdir()) == []
    done = call(*command, "--allow-unmatched")
    assert done.exit_code == 0, done.output
    assert "NOT matched" in done.stdout


def plan(shelf: Path, *sets: str) -> list[str | Path]:
    texts = [f"mmlu.data={shelf}/mmlu", "mmlu.formats=[cloze]", "mmlu.shots=[0]", *sets]
    parts = [part for text in texts for part in ("--set", text)]
    return ["run", "mmlu", *parts, "--families", shelf, "--dry-run"]


def test_a_plan_bears_the_verdict(shelf: Path, here: Path) -> None:
    done = call(*plan(shelf, "families=[world]"))
    assert done.exit_code == 0, done.output
    assert "\nMatch: declared\n  world: declared matched, not all of it verified" in done.stdout
    assert "  - a, b: data, tokens declared\n" in done.stdout
    assert "  - a, b: data order, sequence length, optimizer, schedule, seed, other unknown\n" in done.stdout
    assert "refuses" not in done.stdout
    audited = json.loads(call(*plan(shelf, "families=[world]"), "--json").stdout)["match"]
    assert (audited["verdict"], audited["refused"]) == ("declared", False)
    assert audited["audits"][0]["members"]["a"]["evidence"]["tokenizer"]["status"] == "verified"
    assert list(here.iterdir()) == []


def test_a_plan_says_what_would_be_refused(shelf: Path, here: Path) -> None:
    planned = plan(shelf, "families=[apart]")
    done = call(*planned)
    assert done.exit_code == 0, done.output
    assert "Match: unmatched" in done.stdout
    assert "  - a: size differs" in done.stdout
    assert "refuses this unless --allow-unmatched is given" in done.stdout
    assert json.loads(call(*planned, "--json").stdout)["match"]["refused"]
    allowed = call(*planned, "--allow-unmatched").stdout
    assert "Match: unmatched" in allowed
    assert "refuses" not in allowed


def test_a_plan_of_one_model_compares_nothing(shelf: Path, here: Path) -> None:
    done = call(*plan(shelf, f"members.one={shelf}/llama"))
    assert "Match: nothing to compare\n  nothing to match: one alone\n" in done.stdout


def test_a_plan_does_not_encode_the_suite(
    shelf: Path, here: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = save_model(tmp_path_factory.mktemp("other") / "model", LLAMA)
    rules = json.loads((other / "tokenizer.json").read_text(encoding="utf-8"))
    rules["normalizer"] = {"type": "Lowercase"}
    (other / "tokenizer.json").write_text(json.dumps(rules), encoding="utf-8")
    done = call(*plan(shelf, f"members.one={shelf}/llama", f"members.two={other}"))
    assert "the tokenizers of one / two differ; a run reports whether the suite's tokens do" in done.stdout
