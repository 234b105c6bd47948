"""What a suite amounts to: which cells there are, and which of them are still missing."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

from archbench.engine import ENGINE_VERSION
from archbench.errors import RequestError, did_you_mean
from archbench.identity import digest
from archbench.models.checks.fields import check_tokenizer_fields
from archbench.models.checks.remarks import model_remarks, tokenizer_remarks
from archbench.models.known import import_packages
from archbench.paths import looks_local
from archbench.registry import Family, ResolvedMember, families, resolve_members
from archbench.results.header import CellId
from archbench.results.published import models_of
from archbench.results.store import Store
from archbench.runner.context import RunContext
from archbench.runner.longest import check_longest
from archbench.runner.member.built import check_built
from archbench.runner.member.files import localize, member_identity
from archbench.runner.planned import Cell, Plan, PlannedMember
from archbench.suite import Suite
from archbench.tasks.entry import ENTRY, TaskEntry, Variant

SCORER_VERSION = 2
"""Part of every cell's key, beside the engine's: raised when the same answers would give other item rows."""


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
    import_packages(suite.imports, f"{suite.where('imports')}: imports")
    needs_model = any(entry.WORKS_ON == "model" for entry in suite.tasks.values())
    resolved = resolve_members(
        suite.families, suite.members, known, where=suite.where, needs_model=needs_model
    )
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
    suite = _with_style(suite)
    contexts = {name: RunContext(suite, name, known) for name in suite.tasks}
    entries = {name: entry.located(contexts[name]) for name, entry in suite.tasks.items()}
    own_engine = any(one.member.backend is None for one in resolved)
    notes = {}
    # Wrong data are reported before any model is fetched; what needs the members has to wait for them.
    for name in sorted(entries, key=lambda name: entries[name].NEEDS_MEMBERS):
        if not entries[name].NEEDS_MEMBERS:
            entries[name] = entries[name].resolve(contexts[name])
            if found := _checked(name, entries[name], own_engine):
                notes[name] = found
    members = [_planned(one, *_files(one, suite, known, needs_model, download)) for one in resolved]
    own = [one.tokenizer for one in members if one.tokenizer and one.resolved.member.backend is None]
    digests, variants = {}, {}
    for name, entry in entries.items():
        if entry.NEEDS_MEMBERS:
            entries[name] = entry.resolve(dataclasses.replace(contexts[name], members=members))
            if entries[name].ready and (found := _checked(name, entries[name], own_engine)):
                notes[name] = found
        check_longest(suite, name, entries[name], own)
        digests[name], variants[name] = entries[name].digest(), entries[name].variants()
    cells = []
    for member in members:
        for name, entry in entries.items():
            for variant in variants[name]:
                key = _key(member, digests[name], variant, suite)
                cell_id = CellId(member.resolved.name, name, variant.name)
                about = {field: getattr(variant, field) for field in ("labels", "metric", "chance", "scale")}
                about["kind"] = entry.kind
                may_exclude = suite.engine.too_long == "exclude"
                done = store.has(cell_id, key, may_exclude=may_exclude, about=about)
                # Without the member's files the key is not the one that a run would give.
                known_key = member.identity is not None or variant.work.needs == "architecture"
                replaces = known_key and store.holds_another(cell_id, key)
                cells.append(Cell(member, name, entry, variant, key, done, replaces))
    used = {one.family: known[one.family] for one in resolved if one.family is not None}
    return Plan(suite.model_copy(update={"tasks": entries}), members, cells, used, notes)


def _with_style(suite: Suite) -> Suite:
    """The suite with the file of its figure style written out, so that reports find it from any folder.

    Raises:
        RequestError: There is no such file.
    """
    style = suite.report.figure_style
    if style is None:
        return suite
    file = suite.find(style)
    if file is None and (looks_local(style) or style.endswith(".mplstyle")):
        raise RequestError(
            f"{suite.where('report', 'figure_style')}: there is no file {style}. Name a Matplotlib style "
            "file, or a style that Matplotlib brings (matplotlib.style.available)."
        )
    report = suite.report.model_copy(update={"figure_style": str(file or style)})
    return suite.model_copy(update={"report": report})


def _files(
    member: ResolvedMember, suite: Suite, known: Mapping[str, Family], needs_model: bool, download: bool
) -> tuple[Path | None, Path | None]:
    """Folders of a member's weights and tokenizer; neither where only its architecture is needed."""
    if not needs_model:
        return None, None
    weights, tokenizer = localize(member, download=download)
    if member.member.init == "random":
        check_built(member, tokenizer, suite, known)
    return weights, tokenizer


def _planned(member: ResolvedMember, weights: Path | None, tokenizer: Path | None) -> PlannedMember:
    """A member with what its files say.

    Raises:
        RequestError: Its tokenizer's files say what cannot be meant.
    """
    found: list[str] = []
    # Other backends have their own ways to read a folder.
    if member.member.backend is None:
        found += model_remarks(weights) if weights is not None else []
        if tokenizer is not None:
            check_tokenizer_fields(tokenizer)
            found += tokenizer_remarks(tokenizer)
    return PlannedMember(
        member, weights, tokenizer, member_identity(member, weights, tokenizer), tuple(found)
    )


def _checked(name: str, entry: TaskEntry, own_engine: bool) -> list[str]:
    """Check an entry, and name it where a message says how to change it.

    Returns:
        What a reader of its scores should know about its data.
    """
    if own_engine:
        _check_generations(name, entry)
    try:
        entry.check()
    except RequestError as error:
        raise RequestError(_named(str(error), name)) from error
    return [_named(note, name) for note in entry.notes()]


def _check_generations(name: str, entry: TaskEntry) -> None:
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
    if variant.work.needs == "architecture":
        return digest(
            {
                "architecture": member.resolved.member.architecture,
                "entry": entry_digest,
                "variant": [variant.name, *variant.work.key(), variant.metric],
                "seed": suite.seed,
                "scorer": SCORER_VERSION,
                "torch": version("torch"),
                "transformers": version("transformers"),
            }
        )
    return digest(
        {
            "member": member.identity,
            "entry": entry_digest,
            "variant": [variant.name, *variant.work.key(), variant.metric],
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
