"""Models and questions that the runner's tests share, and a directory of one's own for each test."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.runner.tiny import LLAMA, MAMBA, save_model, save_questions


@pytest.fixture(scope="session")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the models `llama` and `mamba` and the question set `mmlu`."""
    base = tmp_path_factory.mktemp("shelf")
    save_model(base / "llama", LLAMA)
    save_model(base / "mamba", MAMBA)
    save_questions(base / "mmlu")
    return base


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ARCHBENCH_HOME", raising=False)
    return tmp_path
