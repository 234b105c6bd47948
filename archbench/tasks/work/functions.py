"""Work that is a Python function: of a member's loaded model, or of its architecture block alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from archbench.errors import RunError
from archbench.tasks.work.base import Evaluation, Needs, Subject, Work


def _checked(found: Evaluation, metric: str | None) -> Evaluation:
    """Make sure that the primary metric is there.

    Raises:
        RunError: It is not.
    """
    if metric is not None and metric not in found.metrics and found.outcome == "finished":
        raise RunError(
            f"The metric '{metric}' is not among the scores that came back: "
            f"{', '.join(found.metrics) or 'none'}."
        )
    return found


@dataclass(frozen=True)
class _Function(Work):
    """A function and its settings.

    Attributes:
        function: Gets what the work needs of a member, the settings as keywords and `seed`; gives an
            `Evaluation`. The entry's digest covers the version of its code.
        settings: Plain data.
    """

    function: Callable[..., Evaluation]
    settings: dict[str, Any] = field(default_factory=dict)

    def key(self) -> list[Any]:
        """Name of the function, and the settings."""
        return [f"{self.function.__module__}.{self.function.__qualname__}", dict(self.settings)]

    def run(self, subject: Subject, *, metric: str | None, seed: int) -> Evaluation:
        """Call the function."""
        needed = subject.model() if self.needs == "model" else subject.architecture
        return _checked(self.function(needed, seed=seed, **self.settings), metric)


@dataclass(frozen=True)
class OnModel(_Function):
    """A function of a member's loaded model: speed, compression, features."""

    @property
    def needs(self) -> Needs:
        """The model."""
        return "model"


@dataclass(frozen=True)
class OnArchitecture(_Function):
    """A function of a member's architecture block: probes trained from scratch, sizes, fresh models' speed.

    No weights and no tokenizer are needed, and none are loaded.
    """

    @property
    def needs(self) -> Needs:
        """The architecture block."""
        return "architecture"
