"""Settings for all tests, and an empty current directory for those that want one."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import settings

# Machines are shared: a slow example says nothing about the code.
settings.register_profile("archbench", deadline=None)
settings.load_profile("archbench")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current directory, and nothing of the user's own settings."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ARCHBENCH_HOME", raising=False)
    monkeypatch.delenv("ARCHBENCH_DEBUG", raising=False)
    return tmp_path
