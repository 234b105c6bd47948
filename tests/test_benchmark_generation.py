"""The generation benchmark gives both sides the same prompts and reads the book once."""

from __future__ import annotations

import json

import pytest

from benchmarks import generation

FIELDS = {
    "work",
    "model",
    "seconds_lm_eval",
    "seconds_archbench",
    "ratio",
    "forwarded",
    "distinct",
    "max_abs_diff",
    "differing",
}


def test_one_book_is_read_once_and_answered_alike(capsys: pytest.CaptureFixture[str]) -> None:
    small = ["--entries", "12", "--queries", "4", "--new", "3", "--vocab", "400", "--batch-sizes", "2"]
    generation.main(["--json", "--models", "llama", *small])
    (result,) = json.loads(capsys.readouterr().out)
    assert result.keys() >= FIELDS
    assert result["differing_alone"] == 0
    assert result["differing"] == 0
    assert result["forwarded"] <= 1.15 * result["distinct"]
    assert result["requested"] > 2 * result["forwarded"]
