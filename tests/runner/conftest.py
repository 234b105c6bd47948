"""Models and questions that the runner's tests share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.runner.tiny import save_shelf


@pytest.fixture(scope="session")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the models `llama` and `mamba` and the question set `mmlu`."""
    base = tmp_path_factory.mktemp("shelf")
    save_shelf(base)
    return base
