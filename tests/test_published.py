"""Published numbers are transcribed whole: rows fit their columns, printed averages are their cells'."""

from __future__ import annotations

import copy
import functools
import operator
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


MADE_UP = {
    "name": "x",
    "title": "A paper",
    "url": "https://example.org",
    "models": {"m": {"title": "A model"}},
    "conditions": {"quiz": {"kind": "mmlu", "metric": "acc", "labels": {"shots": 0}}},
    "tables": {
        "t": {"title": "One", "evidence": "direct", "columns": ["quiz"], "rows": {"m": {"values": [50]}}}
    },
}


def written(folder: Path, keys: tuple[str | int, ...], value: object) -> Path:
    """The made-up paper with one value changed, in a file."""
    paper = copy.deepcopy(MADE_UP)
    *outer, last = keys
    functools.reduce(operator.getitem, outer, paper)[last] = value
    (folder / "x.yaml").write_text(yaml.safe_dump(paper))
    return folder / "x.yaml"


def test_the_made_up_paper_is_valid(tmp_path: Path) -> None:
    assert validate(Paper, read_yaml(written(tmp_path, ("title",), "Another"))).title == "Another"


@pytest.mark.parametrize(
    ("keys", "longest"),
    [(("title",), 200), (("url",), 2000), (("models", "m", "title"), 200), (("tables", "t", "title"), 200)],
)
def test_a_text_longer_than_its_bound_is_refused(tmp_path: Path, keys: tuple[str, ...], longest: int) -> None:
    validate(Paper, read_yaml(written(tmp_path, keys, "x" * longest)))
    expected = rf"x\.yaml, line \d+: '{'.'.join(keys)}' has {longest + 1:,} characters"
    with pytest.raises(RequestError, match=expected):
        validate(Paper, read_yaml(written(tmp_path, keys, "x" * (longest + 1))))


@pytest.mark.parametrize("value", [True, False, -1, 100.5])
@pytest.mark.parametrize(
    "keys", [("tables", "t", "rows", "m", "values", 0), ("tables", "t", "rows", "m", "average")]
)
def test_what_is_no_percentage_is_refused(tmp_path: Path, keys: tuple[str | int, ...], value: object) -> None:
    with pytest.raises(RequestError, match=r"x\.yaml, line \d+: 'tables\.t\.rows\.m\."):
        validate(Paper, read_yaml(written(tmp_path, keys, value)))


def test_a_label_that_is_a_truth_value_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"'conditions\.quiz\.labels\.shots"):
        validate(Paper, read_yaml(written(tmp_path, ("conditions", "quiz", "labels", "shots"), True)))


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
