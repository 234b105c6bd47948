"""The summary that a run ends with on the screen."""

from __future__ import annotations

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table as RichTable
from rich.text import Text

from archbench.report.escape import one_line
from archbench.report.findings import Findings
from archbench.report.part import Parts
from archbench.report.parts.accuracy import WIDEST, accuracy
from archbench.report.settings import ReportSettings
from archbench.report.table import Cell, Table
from archbench.report.words.captions import leaders_caption
from archbench.report.words.naming import short_name, with_interval
from archbench.report.words.sharing import sharing_lines, sharing_warnings
from archbench.results.frames import RunResults


def summary(results: RunResults, settings: ReportSettings, parts: Parts) -> RenderableType:
    """The accuracy table and what the statistics say, for `rich.print`.

    Args:
        results: The run.
        settings: The report's settings.
        parts: Sentences that a report may have.

    Raises:
        RunError: No cell of the run is complete.
        RequestError: The baseline is no member of the run.
    """
    findings = Findings(results, settings)
    alarms = [*findings.warnings, *sharing_warnings(results)]
    told = [*alarms, *parts.sentences(findings), findings.stamp, *sharing_lines(results, each=False)]
    words = Text("\n".join(f"• {one_line(sentence)}" for sentence in told))
    sheet = accuracy(findings)
    if sheet is None:
        return words
    wide = len(findings.graded) > WIDEST
    # Next to each other, members bear no marks.
    marks = "" if wide else f" {leaders_caption(findings)}".rstrip()
    key = Text(f"Score in percent and, in brackets, its {findings.level} interval.{marks}", style="dim")
    shown = _upright(findings) if wide else _table(sheet.tables[0])
    return Group(shown, key, Text(), words)


def _table(table: Table) -> RichTable:
    """Members below each other, conditions beside each other."""
    shown = _empty()
    for column in table.columns:
        # Text, not strings: rich would read brackets in names as markup.
        head = Text("\n".join(part for part in (column.group, column.name) if part))
        shown.add_column(head, justify="left" if column.words else "right", overflow="fold")
    for index, row in enumerate(table.rows):
        if index in table.rules:
            shown.add_section()
        shown.add_row(*(_cell(one, column.words) for one, column in zip(row, table.columns, strict=True)))
    return shown


def _upright(findings: Findings) -> RichTable:
    """Conditions below each other, members beside each other."""
    shown = _empty()
    shown.add_column(Text("condition"), overflow="fold")
    for member in findings.members:
        shown.add_column(Text(member), justify="right", overflow="fold")
    last = None
    for one in findings.graded:
        if last not in (None, one.task):
            shown.add_section()
        last = one.task
        name = short_name(one, findings.graded)
        scores = (with_interval(findings.score(member, one)) for member in findings.members)
        shown.add_row(Text(one_line(name)), *map(Text, scores))
    return shown


def _empty() -> RichTable:
    return RichTable(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))


def _cell(one: Cell | str, words: bool) -> Text:
    cell = Cell(one) if isinstance(one, str) else one
    text = one_line(cell.text)
    # An interval stands below its score, so that six columns fit a screen.
    score, below, interval = (text, "", "") if words else text.partition(" [")
    return Text(score + cell.mark + below.replace(" ", "\n") + interval, style="bold" if cell.bold else "")
