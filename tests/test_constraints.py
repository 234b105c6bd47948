"""The bounds of pyproject.toml are those that the locks of tested versions stand for."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
BOUNDS = {
    re.split(r"[<>=\[]", line)[0]: dict(re.findall(r"(<=|>=|<)([0-9.]+)", line))
    for line in PROJECT["dependencies"]
}


def locked(name: str) -> dict[str, list[str]]:
    """Versions by package; several where they go by the version of Python."""
    found: dict[str, list[str]] = {}
    for line in (ROOT / "constraints" / name).read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            package, _, version = line.partition(" ;")[0].partition("==")
            found.setdefault(package, []).append(version)
    return found


def number(version: str) -> list[int]:
    parts = [int(part) for part in version.split(".")]
    return parts + [0] * (4 - len(parts))


@pytest.mark.parametrize("package", ["torch", "transformers"])
def test_bounds_end_at_the_newest_tested_release(package: str) -> None:
    assert locked("newest.txt")[package] == [BOUNDS[package]["<="]]


@pytest.mark.parametrize("package", sorted(BOUNDS.keys() - {"torch"}))
def test_bounds_begin_at_the_oldest_tested_release(package: str) -> None:
    (version,) = locked("oldest.txt")[package]
    assert number(version) == number(BOUNDS[package][">="])


def test_what_is_imported_is_declared() -> None:
    import ast
    import sys
    from importlib.metadata import packages_distributions

    imported = set()
    for file in (ROOT / "archbench").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                imported.add(node.module.partition(".")[0])
    foreign = imported - sys.stdlib_module_names - {"archbench"}
    provided = packages_distributions()
    names = {re.sub(r"[-_.]+", "-", provided.get(name, [name])[0]).lower() for name in foreign}
    optional = {"mamba-ssm", "causal-conv1d", "vllm"}
    assert names - optional <= BOUNDS.keys()
