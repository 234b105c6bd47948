"""What commands print: results on stdout, everything else on stderr; errors as one paragraph."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperGroup

from archbench.errors import ArchbenchError, RequestError, unwritable, writable
from archbench.results.writing import plain

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table as RichTable
    from rich.text import Text

    from archbench.report.table import Table

DEBUG = "ARCHBENCH_DEBUG"
"""Set to 1 to see where an error comes from."""

_WIDTH = 120
_UNBROKEN = 100_000


def print_json(value: Any) -> None:
    """Print one JSON document, the only thing on stdout."""
    typer.echo(json.dumps(plain(value), indent=2, ensure_ascii=False, default=str, allow_nan=False))


def note(text: str) -> None:
    """A line for the reader that is no result."""
    typer.echo(text, err=True)


def console() -> Console:
    """A console on stdout; what goes into a file or a log need not fit a terminal."""
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else _WIDTH, highlight=False)


def print_table(table: Table, styles: Mapping[str, str] | None = None) -> None:
    """Print a table of bare texts.

    Args:
        table: The table; its caption, stamp and notes are left to the command.
        styles: How cells of a certain text are set off.
    """
    from rich import box
    from rich.table import Table as RichTable

    shown = RichTable(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    for column in table.columns:
        head = "\n".join(part for part in (column.group, column.name) if part)
        shown.add_column(_text(head), justify="left" if column.words else "right", overflow="fold")
    for index, row in enumerate(table.rows):
        if index in table.rules:
            shown.add_section()
        shown.add_row(*(_text(cell, (styles or {}).get(str(cell), "")) for cell in row))
    _print_whole(shown)


def print_rows(rows: Sequence[Mapping[str, Any]]) -> None:
    """Print what a list holds, columns under their names; the first column is never broken."""
    from rich.table import Table as RichTable

    if not rows:
        typer.echo("  none")
        return
    shown = RichTable(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for index, name in enumerate(rows[0]):
        shown.add_column(_text(name), overflow="fold", no_wrap=index == 0)
    for row in rows:
        shown.add_row(*map(_text, row.values()))
    _print_whole(shown)


def _text(value: object, style: str = "") -> Text:
    """A cell, shown as it is: of a string rich would read brackets as markup."""
    from rich.text import Text

    return Text(str(value), style=style)


def _print_whole(table: RichTable) -> None:
    """Print a table: as wide as the terminal, elsewhere as wide as it is, so that no path is broken."""
    out = console()
    if not sys.stdout.isatty():
        out.width = _UNBROKEN
    out.print(table)


class Commands(TyperGroup):
    """A group of commands whose errors come out as one paragraph and an exit code.

    2: the request was wrong. 1: it failed while it was carried out. 130: stopped with Ctrl-C.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read what was typed, which has to be text: it is repeated on the screen and in the manifest."""
        for one in args:
            if why := unwritable(one):
                note(f"Error: '{writable(one)}': {why}; write it in UTF-8.")
                raise typer.Exit(RequestError.exit_code)
        return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Run a command."""
        try:
            return super().invoke(ctx)
        except ArchbenchError as error:
            _reraise_where_asked()
            note(f"Error: {error}")
            raise typer.Exit(error.exit_code) from None
        except KeyboardInterrupt:
            raise typer.Exit(130) from None
        except Exception as error:
            # Usage errors, exits and broken pipes are click's to handle.
            if type(error).__module__.startswith(("click", "typer")) or isinstance(error, BrokenPipeError):
                raise
            _reraise_where_asked()
            text = " ".join(str(error).split())
            note(
                f"Error: something unexpected went wrong ({type(error).__name__}: {text}). Run the command "
                f"again with {DEBUG}=1 in the environment to see where, and please report it."
            )
            raise typer.Exit(1) from None


def _reraise_where_asked() -> None:
    """Let an error through with its traceback where the user wants to see it."""
    error = sys.exc_info()[1]
    if os.environ.get(DEBUG) == "1" and error is not None:
        raise error
