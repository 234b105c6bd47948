"""Results of an earlier run, read with every kind of task known."""

from __future__ import annotations

from pathlib import Path

from archbench.results import frames
from archbench.results.frames import RunResults
from archbench.tasks.kinds import kinds


def load_results(folder: Path | str) -> RunResults:
    """`archbench.results.frames.load_results`, with every kind of task known."""
    # Registers what cells of each kind carry, which headers are held to.
    kinds()
    return frames.load_results(folder)
