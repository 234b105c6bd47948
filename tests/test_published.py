"""Published numbers are transcribed whole: rows fit their columns, printed averages are their cells'."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from archbench.errors import RequestError
from archbench.formats.yaml_file import read_yaml
from archbench.paths import shared
from archbench.registry import families
from archbench.results.published import Paper, papers
from archbench.schema import validate

FILES = sorted(shared("published").glob("*.yaml"))


@pytest.mark.parametrize("file", FILES, ids=lambda path: path.stem)
def test_rows_fit_their_columns_and_averages_their_cells(file) -> None:
    paper = yaml.safe_load(file.read_text(encoding="utf-8"))
    assert paper["name"] == file.stem
    assert paper["url"].startswith("https://")
    for table in paper["tables"].values():
        assert len(set(table["columns"])) == len(table["columns"])
        for row in table["rows"].values():
            assert len(row["values"]) == len(table["columns"])
            assert all(0 <= value <= 100 for value in row["values"])
            if "average" in row:
                mean = sum(row["values"]) / len(row["values"])
                assert mean == pytest.approx(row["average"], abs=0.0151)


def test_a_paper_of_endless_texts_is_refused(tmp_path: Path) -> None:
    for key in ("title", "url"):
        paper = {"name": "x", "title": "a", "url": "b", "models": {}, "conditions": {}, "tables": {}}
        (tmp_path / "x.yaml").write_text(yaml.safe_dump(paper | {key: "x" * 10_001}))
        with pytest.raises(
            RequestError, match=rf"x\.yaml, line \d+: '{key}' has a text of 10,001 characters"
        ):
            validate(Paper, read_yaml(tmp_path / "x.yaml"))


def test_models_are_members_of_families_that_ship_and_columns_are_conditions() -> None:
    known = families()
    for paper in papers().values():
        for model in paper.models.values():
            if model.family is not None:
                assert model.member in known[model.family].members
        columns = {column for table in paper.tables.values() for column in table.columns}
        assert set(paper.conditions) <= columns
        # The study's QuALITY is no condition: lm-eval's runs code that it fetches.
        assert columns - set(paper.conditions) <= {"quality"}
