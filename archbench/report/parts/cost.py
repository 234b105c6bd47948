"""What every cell took: tokens, passes, seconds."""

from __future__ import annotations

import pandas as pd

from archbench.errors import amount
from archbench.report.findings import Findings
from archbench.report.grid import WHO, Row, records_of
from archbench.report.part import TablePart
from archbench.report.table import MISSING, Column, Sheet, Table, stamped
from archbench.report.words.naming import short_name


def cost(findings: Findings) -> Sheet:
    """What every cell took."""
    cells = findings.results.cells
    rows: list[Row] = []
    rules = set()
    for condition in [*findings.conditions, *findings.results.measured]:
        rules.add(len(rows))
        for row in records_of(cells, condition):
            asked, fed, seconds = row["tokens_requested"], row["tokens_forwarded"], row["seconds"]
            distinct = row["tokens_distinct"]
            rows.append(
                [
                    "" if len(rows) not in rules else short_name(condition, findings.conditions),
                    row["member"],
                    f"{row['items']:,}" if row["status"] == "complete" else row["status"],
                    f"{row['excluded']:,}",
                    _count(asked),
                    _count(distinct),
                    _count(fed),
                    f"{asked / fed:.1f}×" if pd.notna(asked) and pd.notna(fed) and fed else MISSING,
                    f"{distinct / fed:.0%}" if pd.notna(distinct) and pd.notna(fed) and fed else MISSING,
                    _count(row["passes"]),
                    f"{seconds:,.1f}",
                    f"{row['items'] / seconds:,.1f}" if seconds else MISSING,
                ]
            )
    caption = (
        "What every cell took. Tokens requested: as if every request were scored on its own; distinct: every "
        "shared prefix counted once; forwarded: fed to the model; saved: requested by forwarded; of the "
        "bound: share of the possible speed-up that was reached, distinct by forwarded. Passes are forward "
        "passes. Seconds are wall-clock time."
    )
    if "requests_known" in cells and (cells["requests_known"].fillna(0) > 0).any():
        known = cells[cells["requests_known"].fillna(0) > 0]
        caption += (
            f" {len(known)} of {amount(len(cells), 'cell')} found answers there already, of equal "
            "prompts in another cell or from a run that was stopped: tokens and seconds are of their other "
            "requests only."
        )
    tokens = ["tokens requested", "distinct", "forwarded", "saved", "of the bound", "passes"]
    heads = ["items", "excluded", *tokens, "seconds", "items/s"]
    table = Table("Cost", caption, [*WHO, *map(Column, heads)], rows, findings.stamp, frozenset(rules))
    return Sheet("cost", [table], stamped(cells, findings.stamp))


def _count(value: float | None) -> str:
    return MISSING if value is None or pd.isna(value) else f"{int(value):,}"


PARTS = (TablePart("cost", cost, 120),)
