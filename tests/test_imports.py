"""The floors of docs/architecture.md: a module imports only from floors below its own room's."""

from __future__ import annotations

import ast
from pathlib import Path

import archbench

PACKAGE = Path(archbench.__file__).resolve().parent
MOST_FILES = 14
"""Modules side by side in one folder."""
FLOORS = {
    # The public surface hands out what lives on other floors, lazily; nothing below may import it but for the
    # version.
    "archbench": 10,
    "__main__": 10,
    "cli": 9,
    "runner": 8,
    "suite": 7,
    "reporting": 7,
    "runs": 7,
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
    *("answers", "checkpoint", "draw", "errors", "formats", "hub", "identity", "paths", "schema", "tokens"),
    *("random_tokens", "version"),
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


def graph(files: dict[str, Path], *, lazy: bool) -> dict[str, set[str]]:
    """Which modules each imports; with `lazy`, also inside functions; for types alone does not count."""
    found: dict[str, set[str]] = {}
    for module, path in files.items():
        targets: set[str] = set()
        waiting: list[ast.AST] = [ast.parse(path.read_text(encoding="utf-8"))]
        while waiting:
            node = waiting.pop()
            if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
                waiting += node.orelse
                continue
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not lazy:
                continue
            if isinstance(node, ast.Import):
                targets |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                # `from archbench.report import page` means the module, not its package.
                inside = {f"{node.module}.{alias.name}" for alias in node.names}
                targets |= (inside & files.keys()) or {node.module}
            waiting += ast.iter_child_nodes(node)
        found[module] = (targets & files.keys()) - {module}
    return found


def circles(edges: dict[str, set[str]]) -> list[list[str]]:
    """Modules that import each other: what is left without those that import nothing or are not imported."""
    left = {module: set(targets) for module, targets in edges.items()}
    while True:
        wanted = set().union(*left.values()) if left else set()
        done = {module for module, targets in left.items() if not targets or module not in wanted}
        if not done:
            return [sorted(left)] if left else []
        left = {module: targets - done for module, targets in left.items() if module not in done}


def test_no_module_imports_itself_by_a_detour() -> None:
    assert circles(graph(modules(), lazy=False)) == []


def test_no_import_inside_a_function_hides_a_circle() -> None:
    assert circles(graph(modules(), lazy=True)) == []


def test_a_circle_would_be_seen(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("def f():\n    from archbench.b import x\n")
    (tmp_path / "b.py").write_text("from archbench.a import f\n")
    files = {"archbench.a": tmp_path / "a.py", "archbench.b": tmp_path / "b.py"}
    assert circles(graph(files, lazy=False)) == []
    assert circles(graph(files, lazy=True)) == [["archbench.a", "archbench.b"]]


def test_folders_stay_small_enough_to_be_read() -> None:
    counts: dict[Path, int] = {}
    for path in modules().values():
        if path.name != "__init__.py":
            counts[path.parent] = counts.get(path.parent, 0) + 1
    assert {str(folder): count for folder, count in counts.items() if count > MOST_FILES} == {}
