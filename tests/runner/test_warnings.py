"""What makes a cell's scores doubtful is said on the screen, in its header, and in the report."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from rich.console import Console

import archbench
from archbench.engine import Usage
from archbench.models.build import build_model
from archbench.reporting import build_report, summary
from archbench.runner.warnings import all_tied, warnings_of
from archbench.suite import load_suite
from tests.runner.tiny import LLAMA, save_questions, save_tokenizer


def test_options_that_all_tie_are_announced_everywhere(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = build_model(LLAMA, seed=0, vocab_size=257)
    torch.nn.init.zeros_(model.lm_head.weight)
    model.save_pretrained(tmp_path / "flat")
    save_tokenizer(tmp_path / "flat")
    save_questions(tmp_path / "mmlu")
    suite = {
        "name": "ties",
        "members": {"flat": str(tmp_path / "flat")},
        "tasks": {
            "mmlu": {"kind": "mmlu", "data": str(tmp_path / "mmlu"), "formats": ["standard"], "shots": [0]}
        },
    }
    results = archbench.run(load_suite(suite), tmp_path / "out")
    said = "in all 12 items every option has one and the same log-likelihood"
    (header,) = results.headers
    assert [warning.startswith(said) for warning in header.warnings] == [True]
    screen = " ".join(capsys.readouterr().err.split())
    assert f"WARNING: flat · mmlu · standard-0shot: {said}" in screen
    page = build_report(results, tmp_path / "report").page.read_text(encoding="utf-8")
    assert page.index(said) < page.index("## Figures")
    console = Console(width=10_000)
    with console.capture() as shown:
        console.print(summary(results))
    assert said in shown.get()


def test_ties_of_some_items_and_of_equal_options_are_none() -> None:
    tied = {"choices": [" A", " B"], "loglikelihoods": [-1.0, -1.0]}
    apart = {"choices": [" A", " B"], "loglikelihoods": [-1.0, -1.5]}
    same = {"choices": [" A", " A"], "loglikelihoods": [-1.0, -1.0]}
    excluded = {"choices": [" A", " B"], "loglikelihoods": None}
    written = {"prediction": "42"}
    assert all_tied([tied, tied, same, excluded, written]) == 2
    assert all_tied([tied, apart]) == 0
    assert all_tied([same, excluded, written]) == 0
    assert all_tied([]) == 0


class Silent:
    """A model that no generation of can end."""

    border = "lm_eval"
    never_ends = True


def test_tokens_across_borders_and_texts_without_end_are_told() -> None:
    (across,) = warnings_of([{"loglikelihoods": [-1.0]}], Usage(pairs=4000, pairs_spanned=1200), Silent())
    assert "in 1,200 of 4,000 scored continuations a token spans the border" in across
    (endless,) = warnings_of([{"prediction": "42"}], Usage(), Silent())
    assert "end-of-text token is beyond the model's embedding" in endless
    assert list(warnings_of([{"prediction": "42"}], Usage(), object())) == []
