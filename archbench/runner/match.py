"""Before anything runs: are the members of a plan matched, and do they read the items as the same tokens?"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from archbench.checkpoint import has_tokenizer
from archbench.errors import RequestError, amount
from archbench.models.load import load_tokenizer
from archbench.models.tokenizer import tokenizer_identity
from archbench.paths import expanded
from archbench.registry import Audit, Family, Files, ResolvedMember, audit_family
from archbench.registry.contract import Verdict
from archbench.runner.member.files import localize
from archbench.runner.planned import Plan
from archbench.training.recipe import parse_recipe


@dataclass(frozen=True)
class Match:
    """What is known of a plan's members together.

    Attributes:
        verdict: The weakest verdict there is; None where nothing is compared.
        lines: What every table says, a sentence each.
        audits: Of each family.
    """

    verdict: Verdict | None
    lines: list[str]
    audits: list[Audit] = field(default_factory=list)


def check_match(plan: Plan) -> Match:
    """Audit the members of a plan, and refuse a comparison that is not matched unless the suite allows it.

    Raises:
        RequestError: The members are not matched and the suite does not say `allow_unmatched`.
    """
    found = match_members(plan)
    if found.verdict == "unmatched" and not plan.suite.allow_unmatched:
        raise RequestError(
            f"These members are not matched, so their scores would compare more than architectures: "
            f"{'; '.join(found.lines)}. To compare them nevertheless, add --allow-unmatched (in a suite: "
            "allow_unmatched: true); every table then says so. Or put them into a family that says what was "
            "held equal, and look at it with archbench audit FAMILY (docs/matching.md), or run each alone."
        )
    return found


def match_members(plan: Plan, *, encode: bool = True) -> Match:
    """Audit the members of a plan; an untrained control is compared with nothing.

    Args:
        plan: The plan.
        encode: Whether members with different tokenizers have every text of the suite encoded by each.
    """
    audits: list[Audit] = []
    lines: list[str] = []
    trained = [one for one in plan.members if one.resolved.member.init == "trained"]
    for name, family in plan.families.items():
        files = {
            _own_name(one.resolved): Files(one.weights, one.tokenizer)
            for one in plan.members
            if one.resolved.family == name
        }
        audit = audit_family(family, files, recipe=full_recipe(family))
        audits.append(audit)
        lines += [audit.statement, *(f"{name}: {note}" for note in audit.notes)]
    free = [one.resolved.name for one in trained if one.resolved.family is None]
    groups = len({one.resolved.family for one in trained if one.resolved.family}) + len(free)
    if len(trained) < 2:
        only = ", ".join(one.resolved.name for one in trained) or "no trained member"
        return Match(None, [f"nothing to match: {only} alone"], audits)
    if free:
        lines.append(
            f"{', '.join(free)}: NOT matched: no family declares {'them' if len(free) > 1 else 'it'} matched "
            "with anything"
        )
    if len(plan.families) > 1:
        lines.append(
            f"NOT matched: nothing declares the families {', '.join(plan.families)} matched with one another"
        )
    lines += compare_tokens(plan, encode=encode)
    verdicts: list[Verdict] = [audit.verdict for audit in audits] + (["unmatched"] if groups > 1 else [])
    order: tuple[Verdict, ...] = ("unmatched", "declared", "matched")
    return Match(min(verdicts, key=order.index), lines, audits)


def full_recipe(family: Family) -> dict[str, Any] | None:
    """A family's recipe with its defaults filled in; None where it has none.

    Raises:
        RequestError: The recipe is wrong.
    """
    if family.recipe is None:
        return None
    return parse_recipe(family.recipe, family.where("recipe")).model_dump(mode="json")


def files_at_hand(family: Family, name: str) -> Files:
    """What of a family's member is here without downloading: its folder, or the hub's local cache."""
    member = family.members[name]
    said = member.tokenizer or family.tokenizer
    folder = family.folder / expanded(said) if said else None
    tokenizer = folder if folder is not None and folder.is_dir() and has_tokenizer(folder) else None
    weights: Path | None = None
    if member.path is not None:
        weights = family.folder / expanded(member.path)
        weights = weights if (weights / "config.json").is_file() else None
    elif member.hub is not None:
        named = str(tokenizer) if tokenizer else said
        resolved = ResolvedMember(name, member.title or name, family.name, member.hub, named, member)
        try:
            weights, cached = localize(resolved, download=False)
        except RequestError:
            return Files(None, tokenizer)
        tokenizer = tokenizer or cached
    if tokenizer is None and weights is not None and has_tokenizer(weights):
        tokenizer = weights
    return Files(weights, tokenizer)


def compare_tokens(plan: Plan, *, encode: bool = True) -> list[str]:
    """Whether members with different tokenizers read the suite's items as the same tokens.

    Tokenizers of one digest encode everything alike. Where there are several, every text that the suite puts
    to models is encoded by each of them.

    Args:
        plan: The plan.
        encode: False only says that there are several.

    Returns:
        A sentence where there are several tokenizers, else nothing.
    """
    folders: dict[str, tuple[Path, list[str]]] = {}
    for member in plan.members:
        if member.tokenizer is not None:
            encoding = tokenizer_identity(member.tokenizer).encoding
            known = folders.setdefault(encoding, (member.tokenizer, []))
            known[1].append(member.resolved.name)
    bare = [one.resolved.name for one in plan.members if one.tokenizer is None]
    lines = []
    if bare and len(plan.members) > 1:
        lines.append(f"the tokenizer of {', '.join(bare)} is not known here")
    if len(folders) < 2:
        return lines
    who = " / ".join(", ".join(names) for _, names in folders.values())
    if not encode:
        return [*lines, f"the tokenizers of {who} differ; a run tells whether the suite's tokens do"]
    texts = suite_texts(plan)
    encoded = []
    for folder, _ in folders.values():
        tokenizer = load_tokenizer(str(folder))
        encoded.append([tokenizer(text, add_special_tokens=False)["input_ids"] for text in texts])
    first, *others = encoded
    apart = sum(any(other[at] != ids for other in others) for at, ids in enumerate(first))
    if apart:
        lines.append(
            f"the tokenizers of {who} encode {apart:,} of {amount(len(texts), 'text')} of the suite "
            "differently"
        )
    else:
        lines.append(
            f"the tokenizers of {who} differ, but encode {'all ' if len(texts) > 1 else ''}"
            f"{amount(len(texts), 'text')} of the suite alike"
        )
    return lines


def suite_texts(plan: Plan) -> list[str]:
    """Every text that the suite's tasks put to a model, each once, in order."""
    works = {(cell.task, cell.variant.name): cell.variant.work for cell in plan.cells}
    found = (text for work in works.values() for text in work.texts(plan.suite.seed))
    return list(dict.fromkeys(found))


def _own_name(member: ResolvedMember) -> str:
    """A member's name within its family."""
    return member.name.removeprefix(f"{member.family}:")
