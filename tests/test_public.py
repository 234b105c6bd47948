"""The public surface from Python, and what importing it costs."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

import archbench

HEAVY = ("torch", "transformers", "lm_eval", "pandas", "matplotlib", "datasets", "scipy")


def test_public_names_are_pinned() -> None:
    assert archbench.__all__ == ["__version__", "load_lm", "load_results", "run"]
    assert set(archbench.__all__) <= set(dir(archbench))
    for name in archbench.__all__:
        assert getattr(archbench, name) is not None


def test_public_names_are_the_ones_of_their_rooms() -> None:
    assert archbench.load_lm is importlib.import_module("archbench.engine").load_lm
    assert archbench.load_results is importlib.import_module("archbench.runs").load_results


def test_other_names_are_not_there() -> None:
    with pytest.raises(AttributeError, match="no attribute 'evaluate'"):
        archbench.evaluate  # noqa: B018


def loaded_after(code: str) -> set[str]:
    """Heavy packages that a fresh interpreter has loaded after some code."""
    code += f"\nimport sys; print(*(m for m in {HEAVY!r} if m in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split())


@pytest.mark.parametrize(
    "code",
    [
        "import archbench",
        "import archbench.cli",
        "from archbench.suite import load_suite; load_suite('mmlu')",
        "from archbench.registry import families; families()",
    ],
)
def test_light_parts_load_nothing_heavy(code: str) -> None:
    assert loaded_after(code) == set()
