"""The interface of a cell's work: what it needs of a member, what identifies it, and its result."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from archbench.results.measures import Measure, Outcome

Needs = Literal["model", "architecture"]
"""What of a member a work needs: its model with weights and tokenizer, or its architecture block alone."""

Row = dict[str, Any]
"""One item and its answer; docs/architecture.md has the columns."""


@dataclass(frozen=True)
class Evaluation:
    """The result of a cell's work.

    Attributes:
        rows: One row per item; none where only measures were taken.
        metrics: Names of the columns that are scores.
        aggregates: lm-eval's own aggregate metrics, by lm-eval task or group; none where items were excluded,
            since lm-eval knows nothing of that.
        excluded: How many items were too long for the model and were not put to it.
        measures: Numbers that are no scores of items: speed, memory, loss of a training.
        outcome: `finished`, or `diverged` where the numbers stopped being finite on the way.
    """

    rows: list[Row]
    metrics: tuple[str, ...] = ()
    aggregates: dict[str, Any] | None = None
    excluded: int = 0
    measures: tuple[Measure, ...] = ()
    outcome: Outcome = "finished"


class Subject(Protocol):
    """A member as a work sees it: nothing is loaded before it is used."""

    @property
    def name(self) -> str:
        """The member's name."""

    @property
    def architecture(self) -> Mapping[str, Any]:
        """The member's architecture block.

        Raises:
            RequestError: It has none.
        """

    def model(self) -> Any:
        """The member's model in archbench's engine (or an lm-eval backend), loaded once.

        Raises:
            ArchbenchError: It cannot be loaded.
        """


class Work(ABC):
    """What a cell runs on a member."""

    @property
    @abstractmethod
    def needs(self) -> Needs:
        """What of the member it needs."""

    @abstractmethod
    def key(self) -> list[Any]:
        """Plain data that identify it among the entry's works, for the key of its cells."""

    @abstractmethod
    def run(self, subject: Subject, *, metric: str | None, seed: int) -> Evaluation:
        """Run it.

        Args:
            subject: The member.
            metric: The primary metric, which the result must have; None where there is none.
            seed: Seed of everything random.
        """

    def perturbed(self, how: str) -> Work:
        """The same work with its prompts changed in one thing (`archbench.tasks.perturbations`)."""
        raise TypeError(f"{type(self).__name__} has no prompts that could be changed")

    def texts(self, seed: int) -> list[str]:
        """Texts that it puts to a model, by which different tokenizers are compared; none where unknown."""
        return []
