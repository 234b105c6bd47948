"""Item rows whose numbers are none: not written, and set aside where an older version wrote them."""

from __future__ import annotations

import hashlib
import io
import json
import math
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from archbench.errors import RunError
from archbench.report.settings import ReportSettings
from archbench.reporting import build_report
from archbench.results.frames import load_results
from archbench.results.header import CellHeader
from archbench.results.store import Store
from tests.results.synthetic import header, rows


def write_as_before(store: Store, made: CellHeader, column: str, value: Any) -> CellHeader:
    """Write a cell with a value in its second row that today's code refuses."""
    written = store.write_cell(made, rows([1, 0, 1, 1]))
    (parquet,) = store.folder.rglob(f"cells/{made.member}/*.parquet")
    table = pq.read_table(parquet)
    values = table.column(column).to_pylist()
    values[1] = value
    at = table.column_names.index(column)
    field = table.schema.field(column)
    sink = io.BytesIO()
    pq.write_table(table.set_column(at, field, pa.array(values, type=field.type)), sink)
    parquet.write_bytes(sink.getvalue())
    stored = json.loads(parquet.with_suffix(".json").read_text())
    stored["rows_sha256"] = hashlib.sha256(sink.getvalue()).hexdigest()
    parquet.with_suffix(".json").write_text(json.dumps(stored))
    return written.model_copy(update={"rows_sha256": stored["rows_sha256"]})


SPOILT = [
    ("loglikelihoods", [-1.0, math.nan, -2.0, -3.0]),
    ("loglikelihoods", [-1.0, -math.inf, -2.0, -3.0]),
    ("loglikelihoods", [-1.0, None, -2.0, -3.0]),
    ("acc", math.inf),
    ("acc", 1.5),
]


@pytest.mark.parametrize(("column", "value"), SPOILT)
def test_numbers_that_are_none_set_their_cell_aside(tmp_path: Path, column: str, value: Any) -> None:
    store = Store(tmp_path)
    store.write_cell(header("a"), rows([1, 1, 0, 1]))
    spoilt = write_as_before(store, header("b"), column, value)
    assert not store.has(spoilt.id, spoilt.key), "the next run makes it again"
    assert store.has(("a", spoilt.task, spoilt.variant), spoilt.key)
    for lists in (True, False):
        with pytest.raises(
            RunError, match=r"b · mmlu · .*\.parquet: .* of item '.*' is (nan|-?inf|None|1.5)"
        ):
            store.items(spoilt, lists=lists)
    store.write_manifest({"name": "r", "members": [{"name": "a"}, {"name": "b"}]})
    results = load_results(tmp_path)
    assert results.scores()["member"].tolist() == ["a"]
    assert any("b · mmlu" in warning and ".parquet" in warning for warning in results.warnings)
    page = build_report(results, tmp_path / "report", ReportSettings()).page.read_text()
    assert ".parquet" in page


@pytest.mark.parametrize(("column", "value"), SPOILT)
@pytest.mark.parametrize("frame", [False, True])
def test_numbers_that_are_none_are_not_written(tmp_path: Path, column: str, value: Any, frame: bool) -> None:
    made = rows([1, 0, 1, 1])
    made[1][column] = value
    with pytest.raises(
        RunError, match=r"'?(acc|log-?likelihood).*(nan|inf|None|1\.5).*Nothing has been written"
    ):
        Store(tmp_path).write_cell(header(), pd.DataFrame(made) if frame else made)
    assert not list(tmp_path.rglob("*.parquet"))


def test_a_missing_score_is_null_and_no_number_is_an_error(tmp_path: Path) -> None:
    made = rows([1, 0, 1, 1])
    made[1]["acc"] = None
    written = Store(tmp_path).write_cell(header(), made)
    assert Store(tmp_path).items(written)["acc"].isna().tolist() == [False, True, False, False]
    assert Store(tmp_path).write_cell(header(), pd.DataFrame(made)).rows_sha256 == written.rows_sha256
    made[1]["acc"] = math.nan
    with pytest.raises(RunError, match="'acc' holds"):
        Store(tmp_path).write_cell(header(), made)
