"""The notebooks' code runs, cell by cell, on a run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.results.synthetic import make_run, share

NOTEBOOKS = sorted((Path(__file__).parent.parent / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_code_cell_runs(notebook: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    conditions = {
        f"{layout}-{shots}shot": {"format": layout, "shots": shots}
        for layout in ("standard", "choice_text", "cloze")
        for shots in (0, 5)
    }
    make_run(
        tmp_path / "results" / "quick",
        {"a": share(0.5), "b": share(0.6), "c": share(0.25)},
        n=60,
        conditions=conditions,
    )
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    code = [cell["source"] for cell in cells if cell["cell_type"] == "code"]
    assert code
    for number, source in enumerate(code):
        exec(compile(source, f"{notebook.name}[{number}]", "exec"), names)
    assert all(not cell.get("outputs") for cell in cells), "outputs stay out of the repository"
