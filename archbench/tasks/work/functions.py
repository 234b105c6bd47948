"""Work that is a Python function: of a member's loaded model, or of its architecture block alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from archbench.errors import RunError
from archbench.tasks.work.base import Evaluation, Needs, Subject, Work


def _key(run: Callable[..., Any], settings: Mapping[str, Any]) -> list[Any]:
    return [f"{run.__module__}.{run.__qualname__}", dict(settings)]


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
class OnModel(Work):
    """A function of a member's loaded model: speed, compression, features.

    Attributes:
        function: Gets the model, the settings as keywords and `seed`; gives an `Evaluation`. The entry's
            digest covers the version of its code.
        settings: Plain data.
    """

    function: Callable[..., Evaluation]
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def needs(self) -> Needs:
        """The model."""
        return "model"

    def key(self) -> list[Any]:
        """Name of the function, and the settings."""
        return _key(self.function, self.settings)

    def run(self, subject: Subject, *, metric: str | None, seed: int) -> Evaluation:
        """Call the function."""
        return _checked(self.function(subject.model(), seed=seed, **self.settings), metric)


@dataclass(frozen=True)
class OnArchitecture(Work):
    """A function of a member's architecture block: probes trained from scratch, sizes, fresh models' speed.

    No weights and no tokenizer are needed, and none are loaded.

    Attributes:
        function: Gets the block, the settings as keywords and `seed`; gives an `Evaluation`. The entry's
            digest covers the version of its code.
        settings: Plain data.
    """

    function: Callable[..., Evaluation]
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def needs(self) -> Needs:
        """The architecture block."""
        return "architecture"

    def key(self) -> list[Any]:
        """Name of the function, and the settings."""
        return _key(self.function, self.settings)

    def run(self, subject: Subject, *, metric: str | None, seed: int) -> Evaluation:
        """Call the function."""
        return _checked(self.function(subject.architecture, seed=seed, **self.settings), metric)
