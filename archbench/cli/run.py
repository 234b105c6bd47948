"""`archbench run` and `archbench report`."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from archbench.cli.output import console, note, print_json
from archbench.errors import RequestError, amount
from archbench.paths import nearest_folder

if TYPE_CHECKING:
    from archbench.registry import Audit
    from archbench.report.settings import ReportSettings
    from archbench.results.frames import RunResults
    from archbench.results.header import CellHeader
    from archbench.runner.match import Match
    from archbench.runner.planned import Plan

RUN_EPILOG = """\
Examples:

  archbench run quick

  archbench run suites/mmlu.yaml --set mmlu.data=DIR --set members.mine=./checkpoint

  archbench run mmlu --set "mmlu.shots=[0]" --set engine.dtype=bfloat16 --out runs/zero-shot

The same command continues a run that was stopped and evaluates what is missing. Next: archbench report OUT
"""
REPORT_EPILOG = "Example: archbench report results/quick"

Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Change the suite: a dotted key and its value, taken as it stands (#, colons, spaces). A list "
        "or mapping in brackets is YAML; null unsets. A task entry's name is short for tasks.NAME. May be "
        "given several times.",
    ),
]
Families = Annotated[
    list[Path] | None,
    typer.Option("--families", metavar="DIR", help="A folder of family files of your own; may be repeated."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]


def run(
    suite: Annotated[
        str, typer.Argument(help="A suite file, or the name of a shipped suite (archbench list suites).")
    ],
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="DIR", help="Results folder. [default: results/<suite name>]"),
    ] = None,
    overrides: Overrides = None,
    families: Families = None,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Show what would be run and whether it is matched, and run nothing."),
    ] = False,
    overwrite: Annotated[
        bool,
        typer.Option("--overwrite", help="Replace finished cells of other settings instead of refusing."),
    ] = False,
    allow_unmatched: Annotated[
        bool,
        typer.Option(
            "--allow-unmatched",
            help="Compare members that nothing shows or declares to be matched; every table says so.",
        ),
    ] = False,
    strict_sharing: Annotated[
        bool,
        typer.Option(
            "--strict-sharing",
            help="End the run at a member that shares no prefixes, instead of saying so and taking longer.",
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Evaluate a suite: every model on every task. Every answer is kept, and only missing cells are run."""
    # Heavy packages are imported after a wrong request has been refused.
    from archbench.suite import load_suite

    consent = ["allow_unmatched=true"] if allow_unmatched else []
    loaded = load_suite(suite, [*(overrides or ()), *consent])
    out = out or Path("results") / loaded.name

    from archbench.results.store import Store
    from archbench.runner.plan import make_plan
    from archbench.runner.refusals import check_device

    if not dry_run:
        check_device(loaded)
    plan = make_plan(loaded, Store(out), families_dirs=families or (), download=not dry_run)
    if strict_sharing:
        from archbench.runner.sharing import check_backends_share

        check_backends_share(plan)
    if dry_run:
        from archbench.runner.match import match_members

        # Encoding all texts of a suite can take minutes, and changes no verdict.
        _print_plan(plan, match_members(plan, encode=False), out, as_json)
        return
    from archbench.runner.execute import run_plan

    results = run_plan(
        plan, out, command=shlex.join(_typed()), overwrite=overwrite, strict_sharing=strict_sharing
    )
    _print_results(results, as_json)
    failed = [header for header in results.headers if header.status == "failed"]
    if failed:
        note(_failures(failed))
        raise typer.Exit(1)


def report(
    run_folder: Annotated[
        Path, typer.Argument(metavar="RUN", help="A results folder that archbench run made.")
    ],
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="DIR", help="Where the report goes. [default: RUN/report]"),
    ] = None,
    style: Annotated[
        str | None,
        typer.Option(
            "--style", metavar="FILE", help="Matplotlib style for the figures: a *.mplstyle file or a name."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make tables (Markdown, LaTeX, CSV), figures (PNG, SVG) and a page that ties them together."""
    if not run_folder.is_dir():
        raise RequestError(f"There is no results folder {run_folder}. {nearest_folder(run_folder)}")

    from archbench.reporting import build_report
    from archbench.runs import load_results

    results = load_results(run_folder)
    settings = _settings(results)
    if style is not None:
        settings = settings.model_copy(update={"figure_style": style})
    files = build_report(results, out or run_folder / "report", settings)
    if as_json:
        lists = {"tables": files.tables, "figures": files.figures}
        paths = {name: [str(path) for path in some] for name, some in lists.items()}
        about = {"run": str(run_folder), "page": str(files.page), "warnings": results.warnings}
        print_json(about | paths)
    else:
        tables, figures = amount(len(files.tables), "file"), len(files.figures)
        typer.echo(f"{files.page}: {tables} of tables, {figures} of figures next to it")
        for sentence in files.incomplete:
            note(sentence)


def _typed() -> list[str]:
    return ["archbench", *sys.argv[1:]]


def _print_plan(plan: Plan, match: Match, out: Path, as_json: bool) -> None:
    cells = [{**cell.id._asdict(), "state": cell.state, "key": cell.key} for cell in plan.cells]
    downloads = _downloads(plan)
    refused = match.verdict == "unmatched" and not plan.suite.allow_unmatched
    if as_json:
        audits = [audit.as_dict() for audit in match.audits]
        audited = {"verdict": match.verdict, "refused": refused, "lines": match.lines, "audits": audits}
        about = {"suite": plan.suite.name, "out": str(out), "match": audited, "downloads": downloads}
        print_json(about | {"notes": plan.notes, "cells": cells})
        return
    planned = amount(len(cells), "cell")
    typer.echo(f"Suite {plan.suite.name}: {planned}, {len(plan.missing)} to be run, into {out}")
    for cell in cells:
        typer.echo(f"  {cell['state']:9}{cell['member']} · {cell['task']} · {cell['variant']}")
    remarks = {one.resolved.name: list(one.remarks) for one in plan.members if one.remarks}
    for name, notes in [*plan.notes.items(), *remarks.items()]:
        typer.echo(f"\nAbout {name}:")
        for text in notes:
            typer.echo(f"  - {text}")
    if downloads:
        what = "; ".join(f"{member} ({', '.join(names)})" for member, names in downloads.items())
        typer.echo(f"\nTo be downloaded first: {what}{_offline()}")
    typer.echo(f"\nMatch: {match.verdict or 'nothing to compare'}")
    for line in match.lines:
        typer.echo(f"  {line}")
    for audit in match.audits:
        for problem in audit.problems:
            typer.echo(f"  - {problem}")
        for line in _unproven(audit):
            typer.echo(f"  - {line}")
    if refused:
        typer.echo("  archbench run refuses this unless --allow-unmatched is given (docs/matching.md)")


def _downloads(plan: Plan) -> dict[str, list[str]]:
    """Hub ids that each member lacks here."""
    from archbench.runner.member.files import not_cached

    names = {one.resolved.name: not_cached(one.resolved) for one in plan.members if one.identity is None}
    return {member: missing for member, missing in names.items() if missing}


def _offline() -> str:
    """Why nothing can be downloaded; empty where it can be tried."""
    from huggingface_hub import constants

    return "; but HF_HUB_OFFLINE is set, so a run would fail" if constants.HF_HUB_OFFLINE else ""


def _unproven(audit: Audit) -> list[str]:
    """Which members' fields rest on somebody's word or on nobody's, a line for each set of members."""
    fields: dict[tuple[str, str], list[str]] = {}
    for name in audit.controlled:
        for status in ("unknown", "declared"):
            who = ", ".join(
                member
                for member, row in audit.members.items()
                if name in row.evidence and row.evidence[name].status == status
            )
            if who:
                fields.setdefault((status, who), []).append(name.replace("_", " "))
    return [f"{who}: {', '.join(names)} {status}" for (status, who), names in sorted(fields.items())]


def _print_results(results: RunResults, as_json: bool) -> None:
    if as_json:
        cells: list[dict[str, Any]] = [header.model_dump(mode="json") for header in results.headers]
        scores = results.scores().to_json(orient="records")
        about = {"run": str(results.folder), "warnings": results.warnings}
        print_json(about | {"scores": _parsed(scores), "cells": cells})
        return
    if results.scores().empty:
        return  # what failed, and why, is reported after this
    from archbench.reporting import summary

    console().print(summary(results, _settings(results)))
    typer.echo(
        f"\nEvery answer is in {results.folder}. "
        f"Tables and figures: archbench report {shlex.quote(str(results.folder))}"
    )


def _settings(results: RunResults) -> ReportSettings:
    """The suite's own settings of the report."""
    from archbench.report.settings import recorded_settings

    settings, warnings = recorded_settings(results.manifest, results.members)
    for warning in warnings:
        note(f"WARNING: {warning}")
    return settings


def _failures(failed: list[CellHeader]) -> str:
    """Say which cells failed and why."""
    them = "it" if len(failed) == 1 else "them"
    what = f"{amount(len(failed), 'cell')} failed; the same command tries {them} again"
    lines = [f"\n  - {header.id}: {header.error}" for header in failed[:5]]
    if len(failed) > len(lines):
        lines.append(f"\n  - and {len(failed) - len(lines)} more")
    return f"Error: {what}:{''.join(lines)}"


def _parsed(text: str) -> Any:
    """Plain data from the JSON of pandas, which turns NaN into null where the standard library does not."""
    import json

    return json.loads(text)
