"""The interface between a suite's task entries and the runner."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self

from pydantic import BaseModel, ConfigDict

from archbench.results.measures import Scale
from archbench.results.shapes import CellShape
from archbench.schema import Count
from archbench.tasks.work.base import Needs, Work

ENTRY = "ENTRY"
"""Stands for an entry's name in the messages of `check`; the suite, which knows the name, fills it in."""


@dataclass(frozen=True)
class Variant:
    """One way of putting an entry's items to a model; one cell per member.

    Attributes:
        name: Path-safe and unique within the entry, such as `standard-5shot`.
        labels: What distinguishes the entry's variants, such as `{"format": "standard", "shots": 5}`.
        work: What is run.
        metric: The primary metric, a column of the item rows; None for work that scores no items.
        chance: Expected score of guessing, between 0 and 1; None where it is not known.
        scale: What the metric is: `accuracy`, a share of right answers, or `loss`, how well text is
            predicted. Tests of the two are adjusted apart, and tables do not mix them.
    """

    name: str
    labels: dict[str, str | int]
    work: Work
    metric: str | None = None
    chance: float | None = None
    scale: Scale = "accuracy"

    def perturbed(self, how: str) -> Variant:
        """The same items under a changed prompt: a variant of its own, with the label `prompt`."""
        labels = self.labels | {"prompt": how}
        return replace(self, name=f"{self.name}+{how}", labels=labels, work=self.work.perturbed(how))


class Context(Protocol):
    """What a run knows and its entries need to be complete."""

    @property
    def seed(self) -> int:
        """The suite's seed."""

    def find(self, name: str) -> Path | None:
        """The file or folder that a relative path in the suite means; None where there is none."""

    def items_of(self, name: str, kind: str) -> Path | None:
        """Items for a kind of task that come with a family; None where there is no family of that name.

        Raises:
            RequestError: The family brings no items for the kind.
        """

    def tokenizer(self) -> str | None:
        """Folder of the one tokenizer that all members share; None where it has not been fetched.

        Raises:
            RequestError: Members have different tokenizers, or one has none.
        """


class TaskEntry(BaseModel, ABC):
    """One entry under `tasks:` in a suite. Each kind is a subclass with a literal `kind`.

    Attributes:
        kind: Which kind of entry this is; the discriminator of the suite's union.
        limit: Only the first so many items of each variant, in data order; None for all. Each kind
            defines what is counted (items, items per subject).
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    LOCAL: ClassVar[tuple[str, ...]] = ()
    """Fields other than `data` that name local files or folders, perhaps relative to the suite's file."""
    SHAPE: ClassVar[CellShape | None] = None
    """What cells of this kind carry; None where it is not checked."""
    WORKS_ON: ClassVar[Needs] = "model"
    """What of a member the entry's cells need at most."""
    NEEDS_MEMBERS: ClassVar[bool] = False
    """Whether the entry is completed and checked after the members have been fetched."""

    kind: str
    limit: Count | None = None

    def located(self, context: Context) -> Self:
        """The entry with the paths of its files written out; `data` may name a family that brings them.

        A family's name comes before a folder of that name, so that a folder which happens to lie in the
        current directory cannot stand in for a shipped family's items; `./NAME` always means the folder.
        """
        update = {name: _located(getattr(self, name), context) for name in self.LOCAL}
        data = getattr(self, "data", None)
        if isinstance(data, str) and (items := context.items_of(data, self.kind)) is not None:
            update["data"] = str(items)
        elif data is not None:
            update["data"] = _located(data, context)
        return self.model_copy(update=update)

    def resolve(self, context: Context) -> Self:
        """The entry completed with what the run knows: its seed, the members' tokenizer.

        Raises:
            RequestError: The run does not settle what the entry leaves open.
        """
        return self

    @property
    def ready(self) -> bool:
        """Whether everything is known that `check` looks at."""
        return True

    def generation_settings(self) -> dict[str, dict[str, Any]]:
        """Settings by which tasks generate, by task: those that an engine may refuse, before it is loaded."""
        return {}

    @abstractmethod
    def check(self) -> None:
        """Look at the entry's data before any model is loaded.

        Raises:
            RequestError: The data cannot be used as requested; `ENTRY` in the message stands for the entry's
                name.
        """

    def notes(self) -> list[str]:
        """What a reader of the scores should know about data that `check` accepts, a paragraph each.

        They are shown before anything is run, and stand in the manifest and the report.
        """
        return []

    def longest_inputs(self) -> dict[str, int]:
        """Tokens that the longest inputs have, by the field that sets them; empty where none does."""
        return {}

    def part_of_every_variant(self) -> str | None:
        """A text that some prompt of every variant contains; None where none is known without much work."""
        return None

    @abstractmethod
    def variants(self) -> list[Variant]:
        """Unfold the entry, in the order in which tables show it."""

    @abstractmethod
    def digest(self) -> str:
        """Hex SHA-256 of all that could change an answer and that the entry's variants have in common.

        Covers data content, settings and the version of the prompt code. What distinguishes variants (format,
        shots, tasks) is left out, so that adding a variant to an entry keeps the cells it already has: a
        cell's key needs both this digest and the variant.
        """


def _located(value: Any, context: Context) -> Any:
    """A path, or every path of a list or mapping, written out where it exists."""
    if isinstance(value, dict):
        return {key: _located(one, context) for key, one in value.items()}
    if isinstance(value, list):
        return [_located(one, context) for one in value]
    return str(context.find(value) or value) if isinstance(value, str) else value


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
