"""The command line: `archbench run | report | list | show | train | audit`.

Nothing heavy is imported here or at the top of a command's file, so that `archbench --help` answers at once.
"""

from __future__ import annotations

from archbench.cli.app import app, main

__all__ = ["app", "main"]
