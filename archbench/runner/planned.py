"""What a plan is made of: members with their files, and cells, each of them done or still to be run."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from archbench.registry import Family, ResolvedMember
from archbench.results.header import CellId
from archbench.suite import Suite
from archbench.tasks.entry import TaskEntry, Variant


@dataclass(frozen=True)
class PlannedMember:
    """A member with local files.

    Attributes:
        resolved: The member.
        weights: Folder of its weights; None for a `random` member.
        tokenizer: Folder of its tokenizer; None where a backend brings its own.
        identity: Digest of both; None where a hub model has not been fetched (only when showing a plan).
        remarks: What a reader of its scores should know about its files, a sentence each.
    """

    resolved: ResolvedMember
    weights: Path | None
    tokenizer: Path | None
    identity: str | None
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Cell:
    """One member × one task entry × one variant.

    Attributes:
        member: Who answers.
        task: Name of the entry in the suite.
        entry: The entry.
        variant: How its items are put.
        key: Digest of everything that could change an answer.
        done: Whether the results folder already holds it, under this key.
        replaces: Whether running it would replace a complete cell that other settings have given.
    """

    member: PlannedMember
    task: str
    entry: TaskEntry
    variant: Variant
    key: str
    done: bool
    replaces: bool = False

    @property
    def id(self) -> CellId:
        """Name of the cell in the results folder."""
        return CellId(self.member.resolved.name, self.task, self.variant.name)

    @property
    def state(self) -> str:
        """`done`, `missing`, or `replaced`, where running it replaces what other settings gave."""
        return "done" if self.done else "replaced" if self.replaces else "missing"


@dataclass(frozen=True)
class Plan:
    """A suite, resolved.

    Attributes:
        suite: The suite, its data folders written out.
        members: In the suite's order.
        cells: Member by member, in the order they are run.
        families: The families that members come from.
        notes: By task entry, what a reader of its scores should know about its data.
    """

    suite: Suite
    members: list[PlannedMember]
    cells: list[Cell]
    families: dict[str, Family]
    notes: dict[str, list[str]] = field(default_factory=dict)

    @property
    def missing(self) -> list[Cell]:
        """Cells that have to be run."""
        return [cell for cell in self.cells if not cell.done]
