"""What a suite's entries are completed with in a run: files, families' items, the seed, the tokenizer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from archbench.errors import RequestError
from archbench.identity import digest, tokenizer_contents
from archbench.models.tokenizer import tokenizer_identity
from archbench.registry import Family
from archbench.runner.planned import PlannedMember
from archbench.suite import Suite


@dataclass(frozen=True)
class RunContext:
    """The `Context` of one entry.

    Attributes:
        suite: The suite.
        entry: The entry's name in it.
        known: The families that there are.
        members: The run's members, their files local; empty as long as they have not been fetched.
    """

    suite: Suite
    entry: str
    known: Mapping[str, Family]
    members: Sequence[PlannedMember] = ()

    @property
    def seed(self) -> int:
        """The suite's seed."""
        return self.suite.seed

    def find(self, name: str) -> Path | None:
        """The file or folder that a relative path in the suite means; None where there is none."""
        return self.suite.find(name)

    def items_of(self, name: str, kind: str) -> Path | None:
        """Items for a kind of task that come with a family; None where there is no family of that name.

        Raises:
            RequestError: The family brings no items for the kind.
        """
        if name not in self.known:
            return None
        family = self.known[name]
        if kind not in family.items:
            has = ", ".join(family.items) or "none"
            raise RequestError(
                f"{self.suite.where('tasks', self.entry, 'data')}: the family '{name}' brings no items for "
                f"kind '{kind}' (it has: {has}). Name a folder or a hub id."
            )
        return (family.folder / family.items[kind]).resolve()

    def tokenizer(self) -> str | None:
        """Folder of the one tokenizer that all members share; None where it has not been fetched.

        Raises:
            RequestError: Members have different tokenizers, or one has none.
        """
        name = self.entry
        where = self.suite.where("tasks", name)
        folders = {one.resolved.name: one.tokenizer for one in self.members if one.tokenizer}
        different = _ways_to_encode(folders.values())
        if different > 1:
            raise RequestError(
                f"{where}: the lengths are counted in tokens, and the members have {different} different "
                f"tokenizers ({', '.join(folders)}). Every member must read the same text: say whose "
                f"tokenizer counts with tasks.{name}.tokenizer=FOLDER_OR_HUB_ID."
            )
        if bare := [one.resolved.name for one in self.members if one.identity and not one.tokenizer]:
            raise RequestError(
                f"{where}: the lengths are counted in tokens, and the tokenizer of {', '.join(bare)} is not "
                f"known here. Name it with members.{bare[0]}.tokenizer=FOLDER, or say whose tokenizer counts "
                f"with tasks.{name}.tokenizer=FOLDER_OR_HUB_ID."
            )
        whole = bool(folders) and len(folders) == len(self.members)
        return str(next(iter(folders.values()))) if whole else None


def _ways_to_encode(folders: Iterable[Path]) -> int:
    """How many different tokenizers there are.

    Equal files are the same tokenizer; others may be too: next to different models, or with another template
    for chats.
    """
    by_files = {digest(tokenizer_contents(folder)): folder for folder in folders}
    if len(by_files) < 2:
        return len(by_files)
    return len({tokenizer_identity(folder).encoding for folder in by_files.values()})
