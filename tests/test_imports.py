"""The floors of docs/architecture.md: a module imports only from floors below its own room's."""

from __future__ import annotations

import ast
from pathlib import Path

import archbench

PACKAGE = Path(archbench.__file__).resolve().parent
FLOORS = {
    # The public surface hands out what lives on other floors, lazily; nothing below may import it but for the
    # version.
    "archbench": 10,
    "__main__": 10,
    "cli": 9,
    "runner": 8,
    "suite": 7,
    "reporting": 7,
    "tasks": 6,
    "training": 5,
    "registry": 4,
    "efficiency": 3,
    "report": 2,
    "engine": 2,
    "results": 1,
    "models": 1,
    "data": 0,
    "statistics": 0,
}
GROUND = {
    *("answers", "checkpoint", "draw", "errors", "formats", "hub", "paths", "schema", "tokens", "version"),
    "random_tokens",
}


def room(module: str) -> str:
    """`archbench.results.store` -> `results`."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else parts[0]


def imported(path: Path) -> set[tuple[str, int]]:
    """Modules of archbench that a file imports, anywhere in it, with the line."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {(alias.name, node.lineno) for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            module = node.module or ""
            # `from archbench import paths` names a module, `from archbench import __version__` does not.
            names = [alias.name for alias in node.names]
            if module == "archbench":
                found |= {(f"archbench.{name}", node.lineno) for name in names if name != "__version__"}
            else:
                found.add((module, node.lineno))
    return {(name, line) for name, line in found if name == "archbench" or name.startswith("archbench.")}


def wrong_imports(files: dict[str, Path]) -> list[str]:
    wrong = []
    for module, path in files.items():
        here = room(module)
        for target, line in imported(path):
            there = room(target)
            if here == there or there in GROUND:
                continue
            assert there in FLOORS, (
                f"{path}:{line}: {there} is on no floor: add it to docs/architecture.md and here"
            )
            if here in GROUND or FLOORS[there] >= FLOORS[here]:
                wrong.append(f"{path.relative_to(PACKAGE.parent)}:{line}: {here} imports {there}")
    return wrong


def modules() -> dict[str, Path]:
    found = {}
    for path in PACKAGE.rglob("*.py"):
        parts = [PACKAGE.name, *path.relative_to(PACKAGE).with_suffix("").parts]
        found[".".join(parts).removesuffix(".__init__")] = path
    return found


def test_every_room_is_on_a_floor() -> None:
    assert {room(name) for name in modules()} <= set(FLOORS) | GROUND


def test_imports_go_down_only() -> None:
    assert wrong_imports(modules()) == []


def test_a_wrong_import_would_be_seen(tmp_path: Path) -> None:
    bad = PACKAGE / "results" / "store.py"
    assert wrong_imports({"archbench.models.store": bad}), "results is on the floor of models"
    source = tmp_path / "x.py"
    source.write_text(
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from archbench.engine import load_lm\n"
    )
    assert imported(source) == {("archbench.engine", 3)}
