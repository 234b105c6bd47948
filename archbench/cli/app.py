"""The application: its commands and its entry point."""

from __future__ import annotations

import logging
import os
from typing import Annotated

import typer

from archbench.cli import audit, browse, convert, run, sizes, train
from archbench.cli.output import DEBUG, Commands

app = typer.Typer(
    name="archbench",
    cls=Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    help=(
        "Is this architecture really better than that one? Puts the same items to matched models, keeps every"
        " answer, and says how big a difference is and how sure it is."
    ),
    epilog=(
        "First steps: [bold]archbench run quick[/bold], then [bold]archbench report results/quick[/bold]. "
        "What there is: [bold]archbench list[/bold]."
    ),
)


def _version(wanted: bool) -> None:
    if wanted:
        from archbench import __version__

        typer.echo(f"archbench {__version__}")
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    level = logging.DEBUG if os.environ.get(DEBUG) == "1" else logging.WARNING
    logging.basicConfig(format="%(levelname)s: %(message)s", level=logging.WARNING)
    logging.getLogger("archbench").setLevel(level)
    logging.getLogger("transformers.integrations.hub_kernels").addFilter(_is_useful)


def _is_useful(record: logging.LogRecord) -> bool:
    """Drop the advice to install CUDA kernels where there is no CUDA."""
    import torch

    return torch.cuda.is_available() or "reference PyTorch implementation" not in record.getMessage()


app.command("run", epilog=run.RUN_EPILOG)(run.run)
app.command("report", epilog=run.REPORT_EPILOG)(run.report)
app.command("list", epilog=browse.LIST_EPILOG)(browse.list_)
app.command("show", epilog=browse.SHOW_EPILOG)(browse.show)
app.command("train", epilog=train.EPILOG)(train.train)
app.command("audit", epilog=audit.EPILOG)(audit.audit)
app.command("sizes", epilog=sizes.EPILOG)(sizes.sizes)
app.command("convert", epilog=convert.EPILOG)(convert.convert)


def main() -> None:
    """Entry point of the `archbench` command."""
    app()
