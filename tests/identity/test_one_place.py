"""Whoever asks what a model, a tokenizer or data are takes the digest from `archbench.identity`."""

from __future__ import annotations

from pathlib import Path

import pytest

import archbench


@pytest.mark.parametrize("room", ["models", "registry", "tasks"])
def test_no_other_room_has_a_formula_of_its_own(room: str) -> None:
    files = sorted((Path(archbench.__file__).parent / room).rglob("*.py"))
    assert files
    assert [str(file) for file in files if "hashlib" in file.read_text(encoding="utf-8")] == []
