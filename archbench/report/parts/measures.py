"""Numbers that are no scores of items: speed, memory, loss of a training, one line for each cell."""

from __future__ import annotations

from archbench.report.findings import Findings
from archbench.report.part import TablePart, TextPart
from archbench.report.table import MISSING, Cell, Column, Sheet, Table, stamped
from archbench.results.frames import records


def measures(findings: Findings) -> Sheet | None:
    """Every measure of every member, and which cells diverged."""
    data = findings.results.measures()
    if data.empty:
        return None
    rows: list[list[Cell | str]] = []
    rules = set()
    last: tuple[str, str] | None = None
    for row in records(data):
        here = (row["task"], row["variant"])
        first, last = here != last, here
        if first:
            rules.add(len(rows))
        value, low, high = (_number(row.get(name)) for name in ("value", "low", "high"))
        interval = MISSING if MISSING in (low, high) else f"{low} to {high}"
        unit = _text(row.get("unit"))
        name = " ".join(filter(None, [_text(row["measure"]), f"({unit})" if unit else ""]))
        state = "" if row["outcome"] == "finished" else str(row["outcome"])
        label = f"{row['task']} {row['variant']}" if first else ""
        better = _text(row.get("better"))
        rows.append([label, row["member"], name or MISSING, value, interval, better, state])
    caption = (
        "What was measured besides scores of items. Interval: as the task states it. Better: whether a "
        "higher or a lower number is. Diverged: the numbers stopped being finite, which is a result."
    )
    columns = [Column("condition", words=True), Column("member", words=True), Column("measure", words=True)]
    columns += [Column("value"), Column("interval")]
    columns += [Column("better", words=True), Column("outcome", words=True)]
    table = Table("Measures", caption, columns, rows, findings.stamp, frozenset(rules))
    return Sheet("measures", [table], stamped(data, findings.stamp))


def diverged(findings: Findings) -> list[str]:
    """Who diverged, and where."""
    data = findings.results.measures()
    found: dict[str, list[str]] = {}
    for row in records(data[data["outcome"] == "diverged"]):
        names = found.setdefault(f"{row['task']} {row['variant']}", [])
        if row["member"] not in names:
            names.append(row["member"])
    return [
        f"{', '.join(names)} diverged on {where}: there is no number to compare."
        for where, names in found.items()
    ]


def _text(value: object) -> str:
    """A text of a frame; what is missing there is no text."""
    return value if isinstance(value, str) else ""


def _number(value: float | None) -> str:
    return MISSING if value is None or value != value else f"{value:,.4g}"


PARTS = (
    TablePart("measures", measures, 115),
    TextPart("diverged", diverged, 65),
)
