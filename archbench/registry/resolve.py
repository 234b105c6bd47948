"""From the families and members that a suite names to models that can be loaded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from archbench.checkpoint import has_tokenizer
from archbench.errors import RequestError, did_you_mean
from archbench.models.build import build_config
from archbench.paths import expanded, looks_local, nearest_folder
from archbench.registry.evidence import RECORD, diverged
from archbench.registry.family import Family, FamilyChoice, Member
from archbench.registry.sources import check_model_folder


@dataclass(frozen=True)
class ResolvedMember:
    """A member whose weights and tokenizer have been found.

    Attributes:
        name: Display name, unique in the run: the member's own, or `family:member` where two share it.
        title: Name for tables and figures.
        family: The family it came from; None for a model that the suite names itself.
        source: Local folder or hub id of the weights; None for a `random` member and where the arguments of a
            backend name the model.
        tokenizer: Local folder or hub id; None where the hub model or backend brings its own.
        member: The declaration.
    """

    name: str
    title: str
    family: str | None
    source: str | None
    tokenizer: str | None
    member: Member


def resolve_members(
    choices: Sequence[FamilyChoice],
    own: Mapping[str, Member],
    known: Mapping[str, Family],
    *,
    where: Callable[..., str],
    needs_model: bool = True,
) -> list[ResolvedMember]:
    """Find every model that a suite asks for.

    Args:
        choices: Families, and which of their members.
        own: Models that the suite names itself.
        known: The families there are.
        where: Gives file and line of a key path of the suite, for messages.
        needs_model: Whether weights and tokenizers are needed; otherwise architecture blocks are, and members
            need not have been trained.

    Raises:
        RequestError: If a family or member is unknown, a model's weights or tokenizer are not there, or a
            package that a family file names cannot be imported.
    """
    wanted: list[tuple[Family | None, str, Member, str]] = []
    for index, choice in enumerate(choices):
        at = where("families", index)
        if choice.name not in known:
            hint = did_you_mean(choice.name, known, label="Families")
            raise RequestError(f"{at}: there is no family '{choice.name}'. {hint}")
        family = known[choice.name]
        family.import_packages()
        for name in dict.fromkeys(choice.members or family.members):
            if name not in family.members:
                hint = did_you_mean(name, family.members, label="Its members")
                raise RequestError(f"{at}: the family '{family.name}' has no member '{name}'. {hint}")
            wanted.append((family, name, family.members[name], at))
    wanted += [(None, name, member, where("members", name)) for name, member in own.items()]
    shared = Counter(name for _, name, _, _ in wanted)
    return [
        _resolve(family, name, member, at, is_shared=shared[name] > 1, needs_model=needs_model)
        for family, name, member, at in wanted
    ]


def _resolve(
    family: Family | None, name: str, member: Member, at: str, *, is_shared: bool, needs_model: bool
) -> ResolvedMember:
    base = family.folder if family else Path()
    source = member.hub
    called = f"{family.name}:{name}" if family and is_shared else name
    if family is None and member.architecture is not None and member.init != "random":
        raise RequestError(
            f"{at}: 'architecture' is what a family's member is audited against, or what a member with "
            f"init: random is built from. The member '{name}' brings a configuration of its own: take it out."
        )
    if member.architecture is not None:
        written = family.where("members", name, "architecture") if family else at
        try:
            build_config(member.architecture)
        except RequestError as error:
            raise RequestError(f"{written}: {error}") from None
    if not needs_model:
        if member.architecture is None:
            raise RequestError(
                f"{at}: the suite's tasks work on architecture blocks, and the member '{name}' has none. "
                "Write its architecture into the family file, or leave it out."
            )
        return ResolvedMember(
            name=called,
            title=member.title or name,
            family=family.name if family else None,
            source=None,
            tokenizer=None,
            member=member,
        )
    if member.path is not None:
        folder = (base / expanded(member.path)).resolve()
        train = ""
        if family and family.recipe:
            train = f"Train it first: archbench train {family.name} --out DIR, and then add --families DIR."
            if diverged(folder):
                train = (
                    f"Its training diverged, as {folder / RECORD} says, so there is no checkpoint: lower the "
                    f"learning rate in the recipe and give archbench train {family.name} --restart."
                )
        check_model_folder(folder, at, how=train)
        source = str(folder)
    return ResolvedMember(
        name=called,
        title=member.title or name,
        family=family.name if family else None,
        source=source,
        tokenizer=_tokenizer(family, name, member, source, base, at),
        member=member,
    )


def _tokenizer(
    family: Family | None, name: str, member: Member, source: str | None, base: Path, at: str
) -> str | None:
    """Where the tokenizer is: the member's, else the family's, else the one beside the weights."""
    said = member.tokenizer or (family.tokenizer if family else None)
    if said is not None:
        folder = base / expanded(said)
        if folder.is_dir():
            if not has_tokenizer(folder):
                raise RequestError(
                    f"{at}: {folder} holds no tokenizer (expected tokenizer.json). Save one there "
                    f"(tokenizer.save_pretrained). {_remedy(family, name)}"
                )
            return str(folder.resolve())
        if looks_local(said):
            raise RequestError(f"{at}: there is no tokenizer folder {folder}. {nearest_folder(folder)}")
        return said
    if member.hub is not None or (member.backend is not None and source is None):
        return None
    if source is None or not has_tokenizer(Path(source)):
        of = f"the folder {source} holds" if source else f"the member '{name}' has"
        raise RequestError(
            f"{at}: {of} no tokenizer. Save it beside the weights (tokenizer.save_pretrained). "
            f"{_remedy(family, name)}"
        )
    return source


def _remedy(family: Family | None, name: str) -> str:
    """How a member's tokenizer is named."""
    if family is None:
        return f"Or name one: --set members.{name}.tokenizer=FOLDER_OR_HUB_ID."
    file = family.file or f"the family '{family.name}'"
    return (
        f"Or name one in {file}: `tokenizer: FOLDER_OR_HUB_ID`, for the whole family or under members.{name}."
    )
