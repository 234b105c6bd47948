"""Results of an earlier run, read with every kind of task known."""

from __future__ import annotations

from pathlib import Path

from archbench.results import frames
from archbench.results.frames import RunResults
from archbench.tasks.kinds import kinds


def load_results(folder: Path | str) -> RunResults:
    """Read the results of an earlier run.

    What is damaged, and cells whose members were not put the same items, are left out, with a warning
    (`RunResults.warnings`).

    Args:
        folder: The folder that `archbench run` wrote.

    Raises:
        RequestError: It holds no run, or one that a newer archbench has written.
    """
    # Registers what cells of each kind carry, which headers are held to.
    kinds()
    return frames.load_results(folder)
