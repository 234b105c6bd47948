"""The suite: one YAML file that says which models answer which tasks, and how.

    name: quick
    families: [microworld]            # or {name: microworld, members: [mamba2]}
    members: {mine: ./checkpoints/a}  # a folder, a hub id, or a mapping (path, hub, revision, tokenizer, ...)
    tasks:
      mmlu: {kind: mmlu, data: microworld, shots: [0, 5]}
    engine: {dtype: float32}
    seed: 0

Relative folders in a suite are looked for in the current directory first, then beside the suite file.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence, Set
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    field_validator,
    model_validator,
)

from archbench import paths
from archbench.errors import RequestError, did_you_mean
from archbench.paths import expanded
from archbench.registry.family import FamilyChoice, Member
from archbench.report.settings import ReportSettings
from archbench.schema import Large, Name, Whole, YamlModel, validate
from archbench.tasks.mmlu.entry import MmluEntry
from archbench.tasks.perplexity.entry import PerplexityEntry
from archbench.tasks.phonebook.entry import PhonebookEntry
from archbench.tasks.ruler.entry import RulerEntry
from archbench.tasks.stock import StockEntry
from archbench.yamlcore import parse_value
from archbench.yamlfile import Document, Origin, read_yaml

# Every kind of task entry; a new kind is added here and nowhere else.
AnyEntry = MmluEntry | PerplexityEntry | PhonebookEntry | RulerEntry | StockEntry
ENTRY_KINDS: dict[str, type[AnyEntry]] = {
    kind: entry for entry in get_args(AnyEntry) for kind in get_args(entry.model_fields["kind"].annotation)
}


def _device(name: str) -> str:
    """Refuse what is no device; whether this machine has it is asked when a run begins."""
    if not re.fullmatch(r"auto|cpu|mps|cuda(:(0|[1-9][0-9]*))?", name):
        raise ValueError(f"there is no device {name!r}; expected auto, cpu, cuda, cuda:N (N from 0) or mps")
    return name


class EngineSettings(BaseModel):
    """How models are run.

    Attributes:
        dtype: Weights and activations; `auto` takes the checkpoint's. Log-probabilities are always float32.
        device: `auto`, `cpu`, `cuda`, `cuda:1`, ..., or `mps`.
        batch_tokens: Tokens per forward pass, padding included; changes speed and memory, not results.
        cache_bytes: Memory for the states of shared prefixes; changes speed, not results; 0 shares none.
        max_length: Longest input in tokens; the model's own limit where absent.
        rolling_stride: Tokens that each window of a text longer than that predicts, after the first; as many
            as fit where absent.
        too_long: What becomes of items longer than a member takes: `error` (its cell fails) or `exclude`
            (they are left out for every member, and the report counts them). Prompts are never cut.
        border: `exact`, or `lm_eval` for lm-eval's own log-likelihoods where a token spans the border of
            context and continuation, or special tokens come before a text of a rolling log-likelihood.
        threads: CPU threads that a run computes with; torch's own choice where absent. Changes speed, not
            results: for very small models one is as fast as many, and faster where others use the cores too.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    device: Annotated[str, AfterValidator(_device)] = "auto"
    batch_tokens: Large = 8192
    cache_bytes: Annotated[int, Whole, Field(ge=0, le=2**50)] = 2**29
    max_length: Annotated[int, Whole, Field(ge=2, le=2**50)] | None = None
    rolling_stride: Large | None = None
    too_long: Literal["error", "exclude"] = "error"
    threads: Annotated[int, Whole, Field(ge=1, le=1024)] | None = None
    border: Literal["exact", "lm_eval"] = "exact"

    @model_validator(mode="after")
    def _windows_hold_their_stride(self) -> EngineSettings:
        if self.max_length is not None and (self.rolling_stride or 0) > self.max_length:
            raise ValueError(
                f"rolling_stride is {self.rolling_stride:,} and max_length {self.max_length:,}, but a window "
                "predicts at most as many tokens as it may hold; expected a rolling_stride of at most "
                "max_length"
            )
        return self


def _no_suite_key(name: str) -> str:
    if name in Suite.model_fields:
        raise ValueError(
            f"a task entry cannot be called {name!r}, which is a key of the suite itself, so that --set "
            f"{name}=... would be unclear; give it another name"
        )
    return name


EntryName = Annotated[Name, AfterValidator(_no_suite_key)]
"""Name of a task entry, which `--set` takes as a key beside those of the suite."""


class Suite(YamlModel):
    """What to evaluate, on what, and how.

    Attributes:
        name: Names the results folder.
        description: What the suite is for.
        families: Families from the registry, whole or in part.
        members: Further models by name: a folder, a hub id, or a mapping as in a family file.
        tasks: Task entries by name; `kind` says which settings an entry takes.
        engine: How models are run.
        report: What the report shows.
        seed: Seed of everything random, from 0 to 2**32 - 1, which is what NumPy takes.
        allow_unmatched: Whether members that are not matched may be compared; tables then say that they are
            not (docs/matching.md).
    """

    name: Name
    description: str = ""
    families: list[FamilyChoice] = Field(default_factory=list)
    members: dict[Name, Member] = Field(default_factory=dict)
    tasks: dict[EntryName, Annotated[AnyEntry, Field(discriminator="kind")]] = Field(min_length=1)
    engine: EngineSettings = EngineSettings()
    report: ReportSettings = ReportSettings()
    seed: Annotated[int, Whole, Field(ge=0, lt=2**32)] = 0
    allow_unmatched: bool = False

    @field_validator("families", mode="before")
    @classmethod
    def _bare_names(cls, families: Any) -> Any:
        if not isinstance(families, list):
            return families
        return [{"name": one} if isinstance(one, str) else one for one in families]

    @field_validator("families")
    @classmethod
    def _families_once(cls, families: list[FamilyChoice]) -> list[FamilyChoice]:
        names = [one.name for one in families]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"{name!r} is listed more than once; name its members in one entry")
        return families

    def find(self, name: str) -> Path | None:
        """The folder or file that a relative path in this suite means; None where there is none."""
        return _find(name, self.folder)


_DEEPEST = 40
_SHOWN = 300
"""Characters of a `--set` that messages repeat."""

# What may follow a name in `--set members.<name>.<field>` and `--set tasks.<name>.<field>`.
_FIELDS: dict[str, frozenset[str]] = {
    "members": frozenset(Member.model_fields),
    "tasks": frozenset(field for entry in ENTRY_KINDS.values() for field in entry.model_fields),
}


def load_suite(suite: str | Path | Mapping[str, Any], overrides: Sequence[str] = ()) -> Suite:
    """Read a suite and lay `--set` overrides over it.

    Args:
        suite: A file, the name of a shipped suite or of one in `$ARCHBENCH_HOME/suites`, or the suite's
            content as a mapping.
        overrides: `KEY=VALUE` each: the key dotted, the value as it stands. A key that begins with the name
            of a task entry is short for `tasks.<entry>`: `mmlu.shots=[0]`.

    Raises:
        RequestError: If there is no such suite, or it is wrong; the message says where.
    """
    if not isinstance(suite, str | Path | Mapping):
        raise RequestError(
            f"A {type(suite).__name__} was given as suite; a file, a name or a mapping was expected."
        )
    if isinstance(suite, Mapping):
        document = Document(value=_copy(suite), origins={(): Origin("suite")})
    else:
        document = read_yaml(find_suite(suite))
    for text in overrides:
        _override(document, text)
    _name_sources(document)
    return validate(Suite, document)


def suites() -> dict[str, Path]:
    """Suites that can be run by name: shipped ones, and the user's own, which come first."""
    home = paths.home()
    folders = [paths.shared("suites"), *([home / "suites"] if home else [])]
    return {file.stem: file for folder in folders for file in sorted(folder.glob("*.yaml"))}


def find_suite(suite: str | Path) -> Path:
    """File of a suite given as a path or a name; `suites/quick.yaml` means the shipped one where absent.

    Raises:
        RequestError: If there is none; names the nearest.
    """
    path = expanded(suite)
    if path.is_file():
        return path
    known = suites()
    name = path.name.removesuffix(".yaml")  # not the stem: names may have dots
    if path.parent in (Path(), Path("suites")) and name in known:
        return known[name]
    raise RequestError(f"There is no suite '{suite}'. {did_you_mean(name, known, label='Suites')}")


def _override(document: Document, text: str) -> None:
    """Lay one `KEY=VALUE` over a suite."""
    key, equals, value = text.partition("=")
    origin = Origin(f"--set {text if len(text) <= _SHOWN else text[:_SHOWN] + '...'}")
    path = tuple(part.strip() for part in key.split("."))
    if not equals or not all(path) or len(path) > _DEEPEST:
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
            local = paths.looks_local(member) or _find(member, document.folder) is not None
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


def _name_sources(document: Document) -> None:
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
        folder = _find(member, document.folder)
        if folder is None and paths.looks_local(member):
            raise RequestError(f"there is no model folder {member}. {paths.nearest_folder(member)}")
        members[name] = {"path": str(folder)} if folder else {"hub": member}
    elif isinstance(member, dict):
        for key in ("path", "tokenizer"):
            folder = _find(member[key], document.folder) if isinstance(member.get(key), str) else None
            if folder is not None:
                member[key] = str(folder)


def _find(name: str, folder: Path | None) -> Path | None:
    """A path relative to the current directory or else to the suite's folder, whichever exists."""
    asked = expanded(name)
    for base in (Path.cwd(), *([folder] if folder else [])):
        if (base / asked).exists():
            return (base / asked).resolve()
    return None


def _copy(value: Any, depth: int = 0) -> Any:
    """Plain data of a mapping given from Python, so that overrides do not reach into the caller's.

    Raises:
        RequestError: It is nested too deeply, or holds itself.
    """
    if depth > _DEEPEST:
        raise RequestError(f"The suite given is nested more than {_DEEPEST} levels deep, or holds itself.")
    if isinstance(value, Mapping):
        return {str(key): _copy(one, depth + 1) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_copy(one, depth + 1) for one in value]
    return str(value) if isinstance(value, Path) else value
