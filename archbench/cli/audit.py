"""`archbench audit`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from archbench.cli.members import Members, chosen_members
from archbench.cli.output import console, print_json, print_table
from archbench.cli.run import AsJson, Families
from archbench.errors import RequestError

if TYPE_CHECKING:
    from archbench.registry import Audit
    from archbench.report.table import Table

EPILOG = """\
Examples:

  archbench audit microworld

  archbench audit nvidia-8b --context 4096 --context 262144 --json

verified: archbench computed it from the member's files. declared: a family file, model card or paper says so.
The verdict is matched, declared or unmatched; archbench run stamps it on every table. See docs/matching.md
"""

_STYLES = {"verified": "green", "declared": "yellow", "unknown": "magenta", "differs": "bold red"}


def audit(
    family: Annotated[str, typer.Argument(help="A family (archbench list families).")],
    members: Members = None,
    context: Annotated[
        list[int] | None,
        typer.Option(
            "--context",
            metavar="TOKENS",
            min=1,
            help="Report KV-cache bytes at this length; may be repeated. [default: 4096 and 131072]",
        ),
    ] = None,
    latex: Annotated[bool, typer.Option("--latex", help="Print a LaTeX table instead of text.")] = False,
    families: Families = None,
    as_json: AsJson = False,
) -> None:
    """Check what a family's members have in common: members × fields, with evidence and one verdict."""
    from archbench.registry import audit_family, find_family
    from archbench.runner.match import files_at_hand, full_recipe

    if latex and as_json:
        raise RequestError("--latex and --json were both given; one document is printed, so choose one.")
    found = find_family(family, families or ())
    chosen = chosen_members(found, members)
    audited = audit_family(
        found,
        {name: files_at_hand(found, name) for name in chosen},
        recipe=full_recipe(found),
        **({"contexts": tuple(context)} if context else {}),
    )
    if as_json:
        print_json(audited.as_dict())
    elif latex:
        typer.echo(_latex(audited))
    else:
        _show(audited, _table(audited))


def _table(audit: Audit) -> Table:
    """Fields and figures down, members across, and how far the figures spread."""
    from archbench.report.table import MISSING, Column, Table

    rows: list[list[str]] = []
    for name in (*audit.controlled, *audit.varies):
        cells = []
        for member in audit.members.values():
            one = member.evidence.get(name)
            cells.append("control" if one is None else one.status)
        rows.append([name.replace("_", " ") + (" (varies)" if name in audit.varies else ""), *cells, ""])
    rule = len(rows)
    for figure, spread in audit.spread.items():
        values = [member.figures[figure] for member in audit.members.values()]
        apart = MISSING if spread is None else f"{100 * spread:.1f} %"
        rows.append([_figure(figure), *(MISSING if v is None else f"{v:,.0f}" for v in values), apart])
    columns = [Column("field", words=True), *(Column(name) for name in audit.members), Column("spread")]
    caption = (
        "What is held equal and how it is known; sizes and costs below: parameters, floating-point "
        "operations per trained token, bytes in 16 bit of one sequence. Spread: largest by smallest, less 1."
    )
    stamp = f"Match: {audit.statement}."
    return Table(f"Audit of {audit.family}", caption, columns, rows, stamp, frozenset({rule}), audit.notes)


def _figure(name: str) -> str:
    kind, _, at = name.partition("@")
    words = {
        "parameters": "parameters",
        "non_embedding": "non-embedding parameters",
        "active": "active parameters",
        "flops": "training FLOPs per token",
        "state_bytes": "state bytes",
        "kv_bytes": "KV bytes",
    }[kind]
    return f"{words} at {int(at):,}" if at else words


def _latex(audit: Audit) -> str:
    import pandas as pd

    from archbench.report.table import Sheet

    return Sheet("audit", [_table(audit)], pd.DataFrame()).to_latex()


def _show(audit: Audit, table: Table) -> None:
    from rich.text import Text

    print_table(table, _STYLES)
    out = console()
    out.print()
    for line in _lines(audit):
        out.print(Text(line))


def _lines(audit: Audit) -> Sequence[str]:
    """Where the evidence comes from, then the verdict."""
    lines = []
    for name, member in audit.members.items():
        urls = dict.fromkeys(one.url for one in member.evidence.values() if one.url)
        if urls:
            lines.append(f"{name} declared at: {', '.join(map(str, urls))}")
    lines += [f"- {problem}" for problem in audit.problems]
    lines += [f"note: {note}" for note in audit.notes]
    return [*lines, "", f"Verdict: {audit.verdict}. {audit.statement}."]
