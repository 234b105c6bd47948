"""The interface between a suite's task entries and the runner."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, ConfigDict

from archbench.schema import Count

ENTRY = "ENTRY"
"""What an entry calls itself in the messages of `check`: the suite knows its name, the entry does not."""


@dataclass(frozen=True)
class Variant:
    """One way of putting an entry's items to a model; one cell per member.

    Attributes:
        name: Path-safe and unique within the entry, such as `standard-5shot`.
        labels: What tells the entry's variants apart, such as `{"format": "standard", "shots": 5}`.
        tasks: What `lm_eval.tasks.TaskManager.load` takes.
        num_fewshot: Shots per prompt; None leaves each task's own number.
        metadata: For `TaskManager(metadata=...)`; reaches the tasks' dataset builders.
        metric: The primary metric, a column of the item rows.
        chance: Expected score of guessing, between 0 and 1; None where it is not known.
        stock: Whether the tasks are lm-eval's own and need its index (about 5 s to build). Otherwise load
            with `include_defaults=False` and `include_path=archbench.paths.shared("tasks")`.
        data: Of lm-eval's own tasks: folders to read instead of the hub, by name in `tasks`.
    """

    name: str
    labels: dict[str, str | int]
    tasks: list[str | dict[str, Any]]
    num_fewshot: int | None
    metadata: dict[str, Any]
    metric: str
    chance: float | None
    stock: bool
    data: dict[str, str] = field(default_factory=dict)


class TaskEntry(BaseModel, ABC):
    """One entry under `tasks:` in a suite. Each kind is a subclass with a literal `kind`.

    Attributes:
        kind: Which kind of entry this is; what the suite's union is told apart by.
        limit: Only the first so many items of each variant, in data order; None for all. What is counted
            (items, items per subject) is each kind's to say.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    kind: str
    limit: Count | None = None

    @abstractmethod
    def check(self) -> None:
        """Look at the entry's data before any model is loaded.

        Raises:
            RequestError: The data cannot be used as asked. `--set ENTRY.` in it stands for the entry's name.
        """

    def notes(self) -> list[str]:
        """What a reader of the scores should know about data that `check` accepts, a paragraph each.

        They are shown before anything is run, and stand in the manifest and the report.
        """
        return []

    def part_of_every_variant(self) -> str | None:
        """A text that some prompt of every variant contains; None where none is known without much work."""
        return None

    @abstractmethod
    def variants(self) -> list[Variant]:
        """Unfold the entry, in the order in which tables show it."""

    @abstractmethod
    def digest(self) -> str:
        """Hex SHA-256 of all that could change an answer and that the entry's variants have in common.

        Covers data content, settings and the version of the prompt code. What tells variants apart (format,
        shots, tasks) is left out, so that adding a variant to an entry keeps the cells it already has: a
        cell's key needs both this digest and the variant.
        """


def each_once(value: list[Any] | None) -> list[Any] | None:
    """Check, for a field's validator, that a list names nothing twice."""
    seen = set()
    for one in value or ():
        if one in seen:
            raise ValueError(f"{one!r} is listed more than once")
        seen.add(one)
    return value


def path_safe(name: str) -> str:
    """Replace each run of characters that are awkward in a file name by one underscore."""
    return re.sub(r"[^A-Za-z0-9._-]+", "_", name)
