"""The report of a run with every table, figure and sentence that archbench and installed packages bring."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from rich.console import RenderableType

from archbench.report import page, screen
from archbench.report.part import Parts, collect, general_modules, modules_in
from archbench.report.settings import ReportSettings
from archbench.results.frames import RunResults
from archbench.tasks.kinds import report_modules


@cache
def all_parts() -> Parts:
    """What a report may have: of every run, of each kind of task, and of other packages."""
    found = [*general_modules(), *(one for module in report_modules() for one in modules_in(module))]
    return collect(found)


def build_report(
    results: RunResults, out: Path, settings: ReportSettings | None = None, *, parts: Parts | None = None
) -> page.ReportFiles:
    """Write the report of a run: the same bytes for the same results, every time.

    Args:
        results: The run.
        out: Folder to write to; made where missing. Tables and figures of an earlier report there that this
            one does not have are removed.
        settings: The report's settings; the defaults if None.
        parts: Tables, figures and sentences that it may have; all that there are if None.

    Raises:
        RunError: No cell of the run is complete.
        RequestError: The baseline is no member of the run, or the folder cannot be written.
    """
    return page.build_report(results, out, settings or ReportSettings(), parts or all_parts())


def summary(results: RunResults, settings: ReportSettings | None = None) -> RenderableType:
    """The accuracy table and what the statistics say, for `rich.print`.

    Args:
        results: The run.
        settings: The report's settings; the defaults if None.

    Raises:
        RunError: No cell of the run is complete.
        RequestError: The baseline is no member of the run.
    """
    return screen.summary(results, settings or ReportSettings(), all_parts())
