"""`--set KEY=VALUE` over a suite, and the members that a suite names written out in full."""

from __future__ import annotations

from collections.abc import Sequence, Set
from difflib import get_close_matches
from typing import Any

from archbench import paths
from archbench.errors import RequestError, did_you_mean, unwritable, writable
from archbench.formats.yaml_core import parse_value
from archbench.formats.yaml_file import Document, Origin
from archbench.registry.family import Member
from archbench.suite.find import find_in
from archbench.suite.schema import Suite
from archbench.tasks.kinds import kinds

DEEPEST = 40
"""Parts of a dotted key, and levels of a suite, that are read at most."""
_SHOWN = 300
"""Characters of a `--set` that messages repeat."""

# What may follow a name in `--set members.<name>.<field>` and `--set tasks.<name>.<field>`.
_FIELDS: dict[str, frozenset[str]] = {
    "members": frozenset(Member.model_fields),
    "tasks": frozenset(field for kind in kinds().values() for field in kind.entry.model_fields),
}


def override(document: Document, text: str) -> None:
    """Lay one `KEY=VALUE` over a suite."""
    key, equals, value = text.partition("=")
    shown = writable(text)
    origin = Origin(f"--set {shown if len(shown) <= _SHOWN else shown[:_SHOWN] + '...'}")
    if why := unwritable(text):
        raise RequestError(f"{origin}: {why}; write it in UTF-8.")
    path = tuple(part.strip() for part in key.split("."))
    if not equals or not all(path) or len(path) > DEEPEST:
        raise RequestError(f"{origin}: expected KEY=VALUE, for example --set mmlu.shots=[0].")
    entries = _names(document, "tasks")
    if path[0] not in Suite.model_fields:
        if _existing(path, entries) is None:
            hint = did_you_mean(path[0], [*Suite.model_fields, *entries], label="Keys and task entries")
            raise RequestError(
                f"{origin}: '{path[0]}' is neither a key of a suite nor one of its tasks. {hint}"
            )
        path = ("tasks", *path)
    if path[0] in _FIELDS and len(path) > 1:
        fields = _FIELDS[path[0]]
        name, *keys = _name_and_keys(path[1:], _names(document, path[0]), fields)
        last, is_new = path[-1], not keys and name not in _names(document, path[0])
        if is_new and len(path) > 2 and (near := get_close_matches(last, fields, n=1, cutoff=0.85)):
            raise RequestError(f"{origin}: '{last}' is not a key of '{path[0]}'. Did you mean '{near[0]}'?")
        path = (path[0], name, *keys)
    try:
        parsed = parse_value(value)
    except ValueError as error:
        raise RequestError(f"{origin}: {error}.") from None
    if path[0] == "members" and len(path) == 2 and not isinstance(parsed, dict):
        # The name of a folder, or a hub id, whatever it looks like.
        parsed = value
    if path[0] == "members" and len(path) > 2:
        members = document.value.get("members")
        member = members.get(path[1]) if isinstance(members, dict) else None
        # A bare name has to be a mapping before a key of it can be set.
        if isinstance(member, str):
            local = paths.looks_local(member) or find_in(member, document.folder) is not None
            members[path[1]] = {"path" if local else "hub": member}
    document.set(path, parsed, origin, value)


def _names(document: Document, key: str) -> list[str]:
    """Names of the members or task entries that a suite has so far."""
    named = document.value.get(key)
    return list(named) if isinstance(named, dict) else []


def _existing(parts: tuple[str, ...], names: Sequence[str]) -> int | None:
    """How many parts of a dotted key make up the longest of the names; None where none begins it."""
    return next((end for end in range(len(parts), 0, -1) if ".".join(parts[:end]) in names), None)


def _name_and_keys(parts: tuple[str, ...], names: Sequence[str], fields: Set[str]) -> tuple[str, ...]:
    """Put a name with dots together again: `mamba-2.8b.path` is the key `path` of `mamba-2.8b`.

    A new name ends before the first part that is a field, and takes up everything where none is.
    """
    end = _existing(parts, names)
    if end is None:
        end = next((at for at in range(1, len(parts)) if parts[at] in fields), len(parts))
    return (".".join(parts[:end]), *parts[end:])


def name_sources(document: Document) -> None:
    """Write members out in full: a bare name as `path` or `hub`, folders that exist with their whole path."""
    members = document.value.get("members")
    for name in list(members) if isinstance(members, dict) else ():
        try:
            _name_source(document, members, name)
        except RequestError as error:
            raise RequestError(f"{document.where(('members', name))}: {error}") from None


def _name_source(document: Document, members: dict[str, Any], name: str) -> None:
    """As `_name_sources`, of one member."""
    member = members[name]
    if isinstance(member, str):
        folder = find_in(member, document.folder)
        if folder is None and paths.looks_local(member):
            raise RequestError(f"there is no model folder {member}. {paths.nearest_folder(member)}")
        members[name] = {"path": str(folder)} if folder else {"hub": member}
    elif isinstance(member, dict):
        for key in ("path", "tokenizer"):
            folder = find_in(member[key], document.folder) if isinstance(member.get(key), str) else None
            if folder is not None:
                member[key] = str(folder)
