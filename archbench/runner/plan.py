"""What a suite amounts to: which cells there are, and which of them are still missing."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

from archbench.engine import ENGINE_VERSION
from archbench.errors import RequestError, did_you_mean
from archbench.models.remarks import model_remarks, tokenizer_remarks
from archbench.registry import Family, ResolvedMember, families, resolve_members
from archbench.registry.evidence import spelling
from archbench.results.header import CellId
from archbench.results.published import models_of
from archbench.results.store import Store
from archbench.runner.identity import digest, identity, localize, tokenizer_identity
from archbench.runner.longest import check_longest
from archbench.suite import AnyEntry, Suite
from archbench.tasks.entry import ENTRY, Variant
from archbench.tasks.lengths import GeneratedEntry
from archbench.tasks.stock import StockEntry

_Generated = TypeVar("_Generated", bound=GeneratedEntry)

SCORER_VERSION = 2
"""Part of every cell's key, beside the engine's: raised when the same answers would give other item rows."""


@dataclass(frozen=True)
class PlannedMember:
    """A member with its files at hand.

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
    entry: AnyEntry
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
    notes: dict[str, list[str]] = dataclasses.field(default_factory=dict)

    @property
    def missing(self) -> list[Cell]:
        """Cells that have to be run."""
        return [cell for cell in self.cells if not cell.done]


def make_plan(
    suite: Suite, store: Store, *, families_dirs: Sequence[Path] = (), download: bool = True
) -> Plan:
    """Resolve a suite and compare it with what a results folder already holds; evaluates and writes nothing.

    Args:
        suite: The suite.
        store: The results folder, which need not exist.
        families_dirs: The user's own folders of families.
        download: Whether hub models that are not in the local cache are fetched.

    Raises:
        RequestError: If the suite cannot be run as it is: no models, an unknown name, unusable data.
    """
    known = families(families_dirs)
    if not suite.families and not suite.members:
        raise RequestError(
            f"The suite '{suite.name}' names no models to evaluate. Name yours with --set members.NAME=FOLDER"
            " (or a hub id; once per model), or a family with --set families=[FAMILY]; families: "
            f"{', '.join(known) or 'none yet'}."
        )
    resolved = resolve_members(suite.families, suite.members, known, where=suite.where)
    baseline = suite.report.baseline
    if baseline is not None and baseline not in (names := [one.name for one in resolved]):
        hint = did_you_mean(baseline, names, label="Members")
        raise RequestError(
            f"{suite.where('report', 'baseline')}: no member of this run is called '{baseline}'. {hint}"
        )
    for one in resolved:
        if one.member.backend is not None:
            # Brings lm-eval and torch along, which nothing else here needs.
            from archbench.engine import check_backend

            check_backend(one.member.backend)
    models_of([one.name for one in resolved], {}, suite.report.published)
    entries = {name: _with_data(name, entry, suite, known) for name, entry in suite.tasks.items()}
    # Wrong data are told before any model is fetched; what counts tokens has to wait for the tokenizer.
    notes = {}
    for name, entry in entries.items():
        if not isinstance(entry, GeneratedEntry):
            if isinstance(entry, StockEntry) and any(one.member.backend is None for one in resolved):
                _check_generations(name, entry)
            _check(name, entry)
            if found := [_named(note, name) for note in entry.notes()]:
                notes[name] = found
    members = []
    for one in resolved:
        weights, tokenizer = localize(one, download=download)
        members.append(_planned(one, weights, tokenizer))
    own = [one.tokenizer for one in members if one.tokenizer and one.resolved.member.backend is None]
    digests, variants = {}, {}
    for name, entry in entries.items():
        if isinstance(entry, GeneratedEntry):
            settled = _settled(name, entry, suite, members)
            if settled.tokenizer is not None or not settled.counts_tokens:
                _check(name, settled)
            entries[name] = settled
        check_longest(suite, name, entries[name], own)
        digests[name], variants[name] = entries[name].digest(), entries[name].variants()
    cells = []
    for member in members:
        for name, entry in entries.items():
            for variant in variants[name]:
                key = _key(member, digests[name], variant, suite)
                cell_id = CellId(member.resolved.name, name, variant.name)
                done = store.has(cell_id, key, may_exclude=suite.engine.too_long == "exclude")
                # Without the member's files the key is not the one that a run would give.
                replaces = member.identity is not None and store.holds_another(cell_id, key)
                cells.append(Cell(member, name, entry, variant, key, done, replaces))
    used = {one.family: known[one.family] for one in resolved if one.family is not None}
    return Plan(suite.model_copy(update={"tasks": entries}), members, cells, used, notes)


def _planned(member: ResolvedMember, weights: Path | None, tokenizer: Path | None) -> PlannedMember:
    """A member with what its files say."""
    found: list[str] = []
    # Other backends have their own ways to read a folder.
    if member.member.backend is None:
        found += model_remarks(weights) if weights is not None else []
        found += tokenizer_remarks(tokenizer) if tokenizer is not None else []
    return PlannedMember(member, weights, tokenizer, identity(member, weights, tokenizer), tuple(found))


def _check(name: str, entry: AnyEntry) -> None:
    """Check an entry, and call it by its name where a message says how to change it."""
    try:
        entry.check()
    except RequestError as error:
        raise RequestError(_named(str(error), name)) from error


def _check_generations(name: str, entry: StockEntry) -> None:
    """Make sure that archbench's engine can generate as an entry's tasks ask."""
    for task, settings in entry.generation_settings().items():
        from archbench.engine import read_settings

        try:
            read_settings(f"tasks.{name}: lm-eval's task '{task}'", settings, 1)
        except RequestError as error:
            raise RequestError(
                f"{error} The task's YAML sets it: take '{task}' out of the entry, or run it with a backend "
                "of lm-eval's."
            ) from error


def _named(text: str, name: str) -> str:
    """A message of an entry, which does not know its own name, with the name in it."""
    return text.replace(f"--set {ENTRY}.", f"--set {name}.")


def _key(member: PlannedMember, entry_digest: str, variant: Variant, suite: Suite) -> str:
    """Key of a cell.

    How the work is cut up (batch_tokens, device) stays out: it does not change answers; what becomes of items
    that are too long (too_long) does not either, and a cell's header counts them. The versions of
    lm-eval and transformers are in, since they make the prompts and the models.
    """
    return digest(
        {
            "member": member.identity,
            "entry": entry_digest,
            "variant": [variant.name, variant.tasks, variant.num_fewshot, variant.metric],
            "dtype": suite.engine.dtype,
            "max_length": suite.engine.max_length,
            "rolling_stride": suite.engine.rolling_stride,
            "border": suite.engine.border,
            "seed": suite.seed,
            "scorer": SCORER_VERSION,
            "engine": ENGINE_VERSION,
            "lm_eval": version("lm_eval"),
            "transformers": version("transformers"),
        }
    )


def _settled(name: str, entry: _Generated, suite: Suite, members: Sequence[PlannedMember]) -> _Generated:
    """A generated entry with its seed, files and tokenizer written out: the suite's, and the members' own.

    The tokenizer stays open where a hub model has not been fetched, which only happens when showing a plan.

    Raises:
        RequestError: Lengths are counted in tokens, none is named to count, and members have different ones.
    """
    update: dict[str, Any] = {"seed": suite.seed if entry.seed is None else entry.seed}
    for field in entry.LOCAL:
        if (named := getattr(entry, field)) is not None and (found := suite.find(named)) is not None:
            update[field] = str(found)
    if entry.tokenizer is not None:
        folder = suite.find(entry.tokenizer)
        update["tokenizer"] = str(folder) if folder is not None else entry.tokenizer
    elif entry.counts_tokens:
        known = {member.resolved.name: member.tokenizer for member in members if member.tokenizer}
        different = _ways_to_encode(known.values())
        if different > 1:
            raise RequestError(
                f"{suite.where('tasks', name)}: the lengths are counted in tokens, and the members have "
                f"{different} different tokenizers ({', '.join(known)}). Every member must read the "
                f"same text: say whose tokenizer counts with tasks.{name}.tokenizer=FOLDER_OR_HUB_ID."
            )
        if bare := [one.resolved.name for one in members if one.identity and not one.tokenizer]:
            raise RequestError(
                f"{suite.where('tasks', name)}: the lengths are counted in tokens, and the tokenizer of "
                f"{', '.join(bare)} is not known here. Name it with members.{bare[0]}.tokenizer=FOLDER, or "
                f"say whose tokenizer counts with tasks.{name}.tokenizer=FOLDER_OR_HUB_ID."
            )
        if known and len(known) == len(members):
            update["tokenizer"] = str(next(iter(known.values())))
    return entry.model_copy(update=update)


def _ways_to_encode(folders: Iterable[Path]) -> int:
    """How many different tokenizers there are.

    Equal files are the same tokenizer; others may be too: next to different models, or with another template
    for chats.
    """
    by_files = {tokenizer_identity(folder): folder for folder in folders}
    return len(by_files) if len(by_files) < 2 else len({spelling(one).whole for one in by_files.values()})


def _with_data(name: str, entry: AnyEntry, suite: Suite, known: Mapping[str, Family]) -> AnyEntry:
    """The entry with its data folder written out: a family's own items, or a folder that the suite names.

    A family's name comes before a folder of that name, so that a folder which happens to lie in the current
    directory cannot stand in for a shipped family's items; `./NAME` always means the folder.
    """
    data = getattr(entry, "data", None)
    if isinstance(data, dict):
        found = {task: str(suite.find(folder) or folder) for task, folder in data.items()}
        return entry.model_copy(update={"data": found})
    if not isinstance(data, str):
        return entry
    if data in known:
        family = known[data]
        if entry.kind not in family.items:
            has = ", ".join(family.items) or "none"
            raise RequestError(
                f"{suite.where('tasks', name, 'data')}: the family '{data}' brings no items for kind "
                f"'{entry.kind}' (it has: {has}). Name a folder or a hub id."
            )
        folder: Path | None = (family.folder / family.items[entry.kind]).resolve()
    else:
        folder = suite.find(data)
    return entry if folder is None else entry.model_copy(update={"data": str(folder)})
