"""The command line, called in this process."""

from __future__ import annotations

from pathlib import Path

from typer.testing import CliRunner, Result

from archbench.cli import app


def call(*arguments: str | Path) -> Result:
    """What `archbench` prints for these arguments, and its exit code."""
    return CliRunner().invoke(app, [str(one) for one in arguments])
