"""What a run's manifest.json says: its schema, and what is left of one that is damaged."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from archbench.errors import RequestError, RunError, writable
from archbench.formats.json_file import check_text, read_json
from archbench.results.header import SCHEMA_VERSION, CellHeader
from archbench.results.measures import Scale

FORMAT = "archbench run"
"""What a manifest has as its `format`."""


class _Part(BaseModel):
    # A later version may say more: keys that this one does not know are kept.
    model_config = ConfigDict(extra="allow", frozen=True)


class ManifestSharing(_Part):
    """How a member shares prefixes: `chunk`, `steps` or `none`, and why no better."""

    level: str
    reason: str = ""


class ManifestMember(_Part):
    """A member, as far as results and reports need to know it.

    Attributes:
        name: Its name.
        family: Name of the family it belongs to, if any.
        training_length: Tokens of the contexts it was trained on.
        sharing: How it shares prefixes; None where it was never loaded.
        remarks: What is to be known of its files, and what this manifest lacks.
    """

    name: str = Field(min_length=1)
    family: str | None = None
    training_length: int | None = Field(default=None, ge=0)
    sharing: ManifestSharing | None = None
    remarks: list[str] = []


class ManifestCondition(_Part):
    """A column that the run plans; `kind`, `labels`, `metric` let one without any cell be shown as missing.

    Attributes:
        task: Name of the suite's entry.
        variant: Name of the variant.
        kind: The task's kind.
        labels: What the variant stands for.
        metric: The primary metric.
        chance: Expected primary score of guessing.
        scale: What the primary metric is.
    """

    task: str = Field(min_length=1)
    variant: str = Field(min_length=1)
    kind: str | None = None
    labels: dict[str, str | int | float | bool | None] | None = None
    metric: str | None = None
    chance: float | None = Field(default=None, ge=0, le=1)
    scale: Scale | None = None


class ManifestCell(_Part):
    """A cell that belongs to the run; one with another key is left over from other settings."""

    member: str = Field(min_length=1)
    task: str = Field(min_length=1)
    variant: str = Field(min_length=1)
    key: str


class Manifest(_Part):
    """What is known about a whole run; every key may be missing.

    Attributes:
        name: The run's or suite's name.
        command: What was typed to make the run.
        seed: The suite's seed.
        started: When the run began, ISO 8601.
        finished: When it was done; None while cells are missing.
        match: What the audit of the members found, stamped on every table.
        verdict: The audit's verdict.
        members: In the suite's order.
        conditions: In the suite's order.
        cells: Cells that belong to the run; others in the folder are not looked at.
        notes: By name of the entry, what is to be known of its data.
        versions: Versions of archbench and of what it computes with.
        hardware: The machine.
        suite: The suite as resolved.
    """

    name: str | None = None
    command: str | None = None
    seed: int | None = None
    started: str | None = None
    finished: str | None = None
    match: list[str] = []
    verdict: str | None = None
    members: list[ManifestMember] = []
    conditions: list[ManifestCondition] = []
    cells: list[ManifestCell] = []
    notes: dict[str, list[str]] = {}
    versions: dict[str, str] = {}
    hardware: dict[str, Any] = {}
    suite: dict[str, Any] = {}


class FoundManifest(NamedTuple):
    """A manifest as it was found.

    Attributes:
        content: The keys that fit the schema.
        damage: What did not, in a sentence each.
    """

    content: dict[str, Any]
    damage: tuple[str, ...]


_WITHOUT = {
    "members": "the members are those that have a cell, with the family and the prefix sharing that their "
    "cells record, and nothing is known of their parameters, fingerprints, files and training lengths",
    "conditions": "the conditions are those that have a cell",
    "cells": "every cell in the folder counts, those left over from other settings too",
    "suite": "the report's settings are the defaults",
    "match": "nothing is known of the audit",
    "seed": "resampling begins with seed 0",
    "versions": "the versions that it ran with are not known",
    "hardware": "the machine is not known",
    "command": "the command is not known",
}
"""What becomes of a run whose manifest has lost a key."""


def read_manifest(path: Path, *, has_cells: bool) -> FoundManifest:
    """Read a manifest, and of a damaged one what is left.

    Args:
        path: The file.
        has_cells: Whether cells of archbench lie beside it, so that the folder is a run whatever this file
            says.

    Raises:
        RequestError: The folder is no run, or one that a newer archbench has written.
    """
    try:
        content = read_json(path)
        wrong = "" if isinstance(content, dict) else "it holds no mapping of keys to values"
    except (FileNotFoundError, NotADirectoryError):
        if not has_cells:
            raise RequestError(
                f"{path.parent} is not an archbench run: it has no manifest.json. Name the folder that "
                "`archbench run` wrote (results/<suite name> unless told otherwise), or run a suite first."
            ) from None
        content, wrong = {}, "it is missing"
    except (OSError, ValueError) as error:
        content, wrong = {}, f"it cannot be read: {getattr(error, 'strerror', None) or error}"
    if not isinstance(content, dict):
        content = {}
    version = content.pop("schema_version", None)
    if is_newer(version):
        raise RequestError(f"{path}: {newer(version)}")
    known = content.pop("format", None)
    if not wrong and known != FORMAT:
        wrong = f"its key 'format' is not '{FORMAT}'"
    if wrong and not has_cells:
        raise RequestError(
            f"{path} was not written by archbench ({wrong}), and no cells of a run lie beside it. Name "
            "another folder; archbench leaves this one alone."
        )
    damage = [wrong] if wrong else []
    if not wrong and not is_version(version):
        damage = ["its key 'schema_version' is no version"]
    kept, unfit = _fitting(content)
    if wrong and not kept:
        damage = ["; ".join([wrong, *_WITHOUT.values()])]
    again = "The same run command writes it anew."
    return FoundManifest(kept, tuple(f"{path} is damaged: {one}. {again}" for one in [*damage, *unfit]))


def members_from(names: Sequence[str], headers: Iterable[CellHeader]) -> list[dict[str, Any]]:
    """What the headers of cells hold of the members, as a manifest says it.

    Args:
        names: The members.
        headers: Headers of cells, of other members too.
    """
    done = sorted((one for one in headers if one.status == "complete"), key=lambda one: one.finished)
    found: dict[str, dict[str, Any]] = {name: {"name": name} for name in names}
    for header in done:
        if header.member not in found:
            continue
        if header.family is not None:
            found[header.member]["family"] = header.family
        if header.sharing is not None:
            # Cells that are older may have been run by an older archbench.
            found[header.member]["sharing"] = {"level": header.sharing, "reason": ""}
    return list(found.values())


def checked(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """A manifest's content, plain data, as it is to be written.

    Raises:
        RunError: It does not fit the schema; names the key.
    """
    kept, unfit = _fitting(manifest)
    if unfit:
        raise RunError(f"The manifest breaks its schema: {unfit[0]}. Nothing has been written.")
    return kept


def is_version(version: object) -> bool:
    """Whether a value can be a schema version."""
    return isinstance(version, int) and not isinstance(version, bool) and version > 0


def is_newer(version: object) -> bool:
    """Whether a schema version is one that a newer archbench writes."""
    return isinstance(version, int) and is_version(version) and version > SCHEMA_VERSION


def newer(version: object) -> str:
    """Say that a file was written by a newer archbench."""
    return (
        f"it has schema version {version}, and this archbench reads up to {SCHEMA_VERSION}. "
        "Update archbench to read it, or run the suite again into another folder."
    )


def _fitting(content: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The keys that fit the schema, and what is wrong with the others."""
    unfit: dict[str, str] = {}
    for key, value in content.items():
        try:
            check_text([key, value])
        except ValueError as error:
            unfit[key] = f"its key '{writable(key)}' is unusable: {error}{_lost(key)}"
    try:
        Manifest.model_validate({key: value for key, value in content.items() if key not in unfit})
    except ValidationError as error:
        for detail in error.errors(include_url=False, include_input=False):
            key, *inner = map(str, detail["loc"])
            where = f" (at {'.'.join(inner)})" if inner else ""
            expected = detail["msg"].replace("Input should be", "expected").split(" or instance of ")[0]
            unfit.setdefault(key, f"its key '{key}' is unusable{where}: {expected}{_lost(key)}")
    kept = Manifest.model_validate({key: value for key, value in content.items() if key not in unfit})
    return kept.model_dump(exclude_unset=True), list(unfit.values())


def _lost(key: str) -> str:
    """What becomes of a run without a key, for the end of a sentence."""
    return f"; {_WITHOUT[key]}" if key in _WITHOUT else ""
