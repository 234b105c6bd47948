"""Which run of a sweep becomes the member, and how far the runs lie apart."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import NamedTuple

from archbench.training.recipe import Recipe
from archbench.training.result import Run, TrainResult


class Spread(NamedTuple):
    """The runs of a member at one learning rate.

    Attributes:
        learning_rate: The rate.
        losses: Validation losses of the runs that finished, nats per token, by seed in the recipe's order.
        diverged: How many did not finish.
    """

    learning_rate: float
    losses: tuple[float, ...]
    diverged: int

    @property
    def mean(self) -> float | None:
        """Mean of the losses; None where there is none."""
        return statistics.fmean(self.losses) if self.losses else None

    @property
    def deviation(self) -> float | None:
        """Standard deviation between seeds (with n - 1); None for fewer than two."""
        return statistics.stdev(self.losses) if len(self.losses) > 1 else None


def is_sweep(recipe: Recipe) -> bool:
    """Whether a recipe asks for runs among which to choose."""
    return recipe.sweep is not None or recipe.seeds is not None


def run_folder(recipe: Recipe) -> str:
    """Where a single run lies below its member's folder."""
    return f"runs/rate-{recipe.learning_rate:g}-seed-{recipe.seed}"


def as_run(recipe: Recipe, result: TrainResult) -> Run:
    """A run's line in its member's record."""
    return Run(
        folder=run_folder(recipe),
        learning_rate=recipe.learning_rate,
        seed=recipe.seed,
        outcome=result.outcome,
        validation_loss=result.validation_loss,
    )


def spreads(runs: Sequence[Run]) -> list[Spread]:
    """The runs by learning rate, in the order of the sweep."""
    found = []
    for rate in dict.fromkeys(run.learning_rate for run in runs):
        own = [run for run in runs if run.learning_rate == rate]
        losses = tuple(run.validation_loss for run in own if run.validation_loss is not None)
        found.append(Spread(rate, losses, len(own) - len(losses)))
    return found


def choose(runs: Sequence[Run]) -> Run | None:
    """The run that becomes the member.

    The learning rate is the one with the lowest mean validation loss over the seeds, a rate at which fewer
    runs diverged coming first. Of that rate it is the first seed that finished, not the best: seeds are
    drawn, and a member chosen among its luckiest draws would be flattered by their number.

    Args:
        runs: All runs of a member.

    Returns:
        The run; None where all diverged.
    """
    ranked = [(one.diverged, one.mean, one.learning_rate) for one in spreads(runs) if one.mean is not None]
    if not ranked:
        return None
    rate = min(ranked)[2]
    return next(run for run in runs if run.learning_rate == rate and run.outcome == "finished")
