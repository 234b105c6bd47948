"""The audit of a family: what is known of every member, whether it is equal, and one verdict.

- `matched`: every controlled field of every member is verified and equal;
- `declared`: nothing is known to differ, but some of it rests on somebody's word (or is not known);
- `unmatched`: something differs, or nobody says what data, tokenizer or number of tokens a member had.
"""

from __future__ import annotations

import json
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from archbench.registry.contract import ESSENTIAL, FIELDS, Claim, Evidence, FieldName, Verdict
from archbench.registry.evidence import (
    RECIPE_FIELDS,
    field_value,
    read_record,
    recipe_evidence,
    tokenizer_digest,
)
from archbench.registry.family import Family, Member
from archbench.registry.weights import (
    Files,
    Header,
    architecture_evidence,
    figures,
    member_config,
    member_sizes,
    read_header,
)

if TYPE_CHECKING:
    from transformers import PretrainedConfig

    from archbench.models.sizes import Sizes

_CONTEXTS = (4096, 131_072)


@dataclass(frozen=True)
class MemberAudit:
    """One member's row.

    Attributes:
        control: Whether it is an untrained control, which nothing is held equal for but tokenizer and size.
        evidence: By field; of a control only those two.
        figures: Sizes and costs; None where not known.
    """

    control: bool
    evidence: dict[FieldName, Evidence]
    figures: dict[str, float | None]


@dataclass(frozen=True)
class Audit:
    """What an audit found.

    Attributes:
        family: Name of the family.
        varies: Fields that may differ.
        members: Rows, in the family's order.
        size_quantity: Which figure is held equal.
        architecture_varies: The only keys in which architectures may differ; None where they may in any.
        notes: What a reader should know that no verdict hangs on.
    """

    family: str
    varies: tuple[FieldName, ...]
    members: dict[str, MemberAudit]
    size_quantity: str
    architecture_varies: tuple[str, ...] | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def controlled(self) -> tuple[FieldName, ...]:
        """Fields that are held equal."""
        return tuple(name for name in FIELDS if name not in self.varies)

    @cached_property
    def problems(self) -> list[str]:
        """Why the members are not matched, a line each."""
        lines = []
        for name, member in self.members.items():
            # One cause may touch many fields: it is told once.
            causes: dict[str, list[str]] = {}
            for one, evidence in member.evidence.items():
                if evidence.status == "differs":
                    causes.setdefault(evidence.note, []).append(one)
                elif evidence.status == "unknown" and one in ESSENTIAL and one in self.controlled:
                    lines.append(f"{name}: {one} is unknown ({evidence.note or 'nobody says'})")
            for note, fields in causes.items():
                verb = "differs" if len(fields) == 1 else "differ"
                lines.append(f"{name}: {', '.join(fields)} {verb} ({note})")
        return lines

    @cached_property
    def verdict(self) -> Verdict:
        """The verdict on all members together."""
        if self.problems:
            return "unmatched"
        held = [one for member in self.members.values() for one in self._held(member).values()]
        return "matched" if all(one.status == "verified" for one in held) else "declared"

    def _held(self, member: MemberAudit) -> dict[FieldName, Evidence]:
        # Architectures may differ, but each member's weights must be those of its own.
        names = {*self.controlled, "architecture"}
        return {name: one for name, one in member.evidence.items() if name in names}

    @cached_property
    def spread(self) -> dict[str, float | None]:
        """Largest over smallest, less one, of every figure; None where one is not known or is zero."""
        found: dict[str, float | None] = {}
        for name in next(iter(self.members.values())).figures if self.members else ():
            values = [member.figures[name] for member in self.members.values()]
            known = [value for value in values if value]
            found[name] = max(known) / min(known) - 1 if known and len(known) == len(values) else None
        return found

    @property
    def statement(self) -> str:
        """The verdict in a sentence, as tables bear it."""
        if self.verdict == "unmatched":
            shown = "; ".join(self.problems[:3]) + (
                f"; and {len(self.problems) - 3} more" if len(self.problems) > 3 else ""
            )
            return f"{self.family}: NOT matched: {shown}"
        by_status: dict[str, list[str]] = {"verified": [], "declared": [], "unknown": []}
        for name in self.controlled:
            found = {
                member.evidence[name].status for member in self.members.values() if name in member.evidence
            }
            for status in ("unknown", "declared", "verified"):
                if status in found:
                    by_status[status].append(name.replace("_", " "))
                    break
        parts = [f"{status}: {', '.join(names)}" for status, names in by_status.items() if names]
        if (spread := self.spread.get(self.size_quantity)) is not None:
            parts.append(f"{self.size_quantity.replace('_', '-')} within {100 * spread:.1f} %")
        keys = f" ({', '.join(self.architecture_varies)} alone)" if self.architecture_varies else ""
        varies = [name + (keys if name == "architecture" else "") for name in self.varies]
        parts.append(f"varies: {', '.join(varies) or 'nothing'}")
        word = "matched" if self.verdict == "matched" else "declared matched, not all of it verified"
        return f"{self.family}: {word} ({'; '.join(parts)})"

    def as_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "family": self.family,
            "verdict": self.verdict,
            "statement": self.statement,
            "controlled": list(self.controlled),
            "varies": list(self.varies),
            "architecture_varies": list(self.architecture_varies) if self.architecture_varies else None,
            "problems": self.problems,
            "members": {
                name: {
                    "control": member.control,
                    "evidence": {key: one.as_dict() for key, one in member.evidence.items()},
                    "figures": member.figures,
                }
                for name, member in self.members.items()
            },
            "spread": self.spread,
            "notes": self.notes,
        }


def audit_family(
    family: Family,
    files: Mapping[str, Files],
    *,
    recipe: Mapping[str, Any] | None = None,
    contexts: Sequence[int] = _CONTEXTS,
) -> Audit:
    """Audit members of a family.

    Args:
        family: The family.
        files: The members to audit, and what of each is at hand.
        recipe: The family's recipe with its defaults filled in, where it has one.
        contexts: Lengths, in tokens, that bytes of cache and state are told at.

    Returns:
        The audit. Nothing is loaded: weights are read by their headers.
    """
    length = family.budget.sequence_length or (recipe or {}).get("sequence_length") or contexts[0]
    rows: dict[str, MemberAudit] = {}
    for name, at_hand in files.items():
        member = family.members[name]
        header = read_header(at_hand.weights) if at_hand.weights else None
        digest = tokenizer_digest(at_hand.tokenizer) if at_hand.tokenizer else None
        config, trouble = member_config(member, at_hand, recipe)
        sizes = member_sizes(config)
        told = figures(sizes, int(length), contexts)
        evidence = _evidence(family, name, at_hand, header, digest, config, recipe)
        if trouble:
            evidence["architecture"] = Evidence("differs", note=trouble)
        evidence["size"] = _size(family, member, sizes, header, told)
        control = member.init == "random"
        if control:
            evidence = {key: one for key, one in evidence.items() if key in ("tokenizer", "size")}
        rows[name] = MemberAudit(control, {key: evidence[key] for key in FIELDS if key in evidence}, told)
    match = family.match
    notes = [note] if (note := _untrained(family, files)) else []
    found = Audit(family.name, match.varies, rows, match.size.quantity, match.architecture_varies, notes)
    return _compared(found, family, recipe)


def _untrained(family: Family, files: Mapping[str, Files]) -> str | None:
    """Say which members are still to be trained; None where none is."""
    missing = [
        name
        for name, at_hand in files.items()
        if family.recipe is not None and family.members[name].path is not None and at_hand.weights is None
    ]
    if not missing:
        return None
    return f"not trained yet: {', '.join(missing)}; archbench train {family.name} --out DIR trains them"


def _evidence(
    family: Family,
    name: str,
    files: Files,
    header: Header | None,
    digest: str | None,
    config: PretrainedConfig | None,
    recipe: Mapping[str, Any] | None,
) -> dict[FieldName, Evidence]:
    """What is known of every field but the size, before members are compared."""
    member = family.members[name]
    record = read_record(files.weights) if files.weights else None
    found = {field: _declared(family, member, field, recipe) for field in FIELDS}
    if digest is not None:
        found["tokenizer"] = Evidence("verified", digest, f"tokenizer digest {digest[:12]}")
    found["architecture"] = architecture_evidence(member, header, config, found["architecture"])
    if record is not None and header is not None:
        proven, wrong = recipe_evidence(
            record, header, recipe=recipe, architecture=member.architecture, tokenizer=digest
        )
        found |= proven
        if wrong and found["architecture"].status != "differs":
            found["architecture"] = Evidence("differs", note=wrong)
    return found


def _declared(family: Family, member: Member, field: FieldName, recipe: Mapping[str, Any] | None) -> Evidence:
    """What the family file says of a field of a member."""
    claim = member.declared.get(field) or family.match.declared.get(field)
    if claim is None and recipe is not None and field in RECIPE_FIELDS and field != "tokenizer":
        text = field_value(recipe, field)
        if text != "{}":
            return Evidence(
                "declared", text, "the family file's recipe; no training record proves it", family.url
            )
    if claim is None:
        said: dict[FieldName, str | int | None] = {
            "data": family.data.name if family.data else None,
            "tokens": family.budget.tokens,
            "sequence_length": family.budget.sequence_length,
            "tokenizer": member.tokenizer or family.tokenizer,
        }
        value = said.get(field)
        claim = None if value is None else Claim(value=value, url=family.url)
    if claim is None:
        return Evidence("unknown")
    return Evidence("declared", str(claim.value), claim.note or "declared by the family file", claim.url)


def _size(
    family: Family,
    member: Member,
    sizes: Sizes | None,
    header: Header | None,
    figures: Mapping[str, float | None],
) -> Evidence:
    value = figures[family.match.size.quantity]
    if value is not None and sizes is not None:
        if header is not None:
            return Evidence("verified", str(round(value)), "counted from the weights' configuration")
        if member.init == "random":
            return Evidence("verified", str(round(value)), "counted from its architecture")
        return Evidence("declared", str(round(value)), "counted from the declared architecture")
    claim = member.declared.get("size") or family.match.declared.get("size")
    if claim is None:
        return Evidence("unknown")
    return Evidence("declared", str(claim.value), claim.note or "as published", claim.url)


def _compared(found: Audit, family: Family, recipe: Mapping[str, Any] | None) -> Audit:
    """Mark what differs between the members."""
    rows = {name: replace(row, evidence=dict(row.evidence)) for name, row in found.members.items()}
    notes = list(found.notes)
    for one in found.controlled:
        if one == "size":
            continue
        told = {name: row.evidence[one] for name, row in rows.items() if one in row.evidence}
        planned = _planned(one, recipe)
        for group in _comparable(one, told):
            values = {name: told[name].value for name in group}
            if len(set(values.values())) > 1:
                usual = (
                    planned if planned in values.values() else Counter(values.values()).most_common(1)[0][0]
                )
                for name in group:
                    if values[name] != usual:
                        others = [other for other in group if values[other] == usual]
                        note = _against(values[name], usual, others or ["the family file"])
                        rows[name].evidence[one] = replace(told[name], status="differs", note=note)
            elif planned is not None and one == "tokens" and set(values.values()) - {planned}:
                notes.append(
                    f"all members were trained on {next(iter(values.values()))} tokens, not on the "
                    f"{planned} that the family file plans"
                )
    _compare_architectures(rows, family)
    _compare_sizes(rows, family)
    return replace(found, members=rows, notes=notes)


def _planned(one: FieldName, recipe: Mapping[str, Any] | None) -> str | None:
    """The value that the family file's recipe leads to, where members are compared by what a recipe says."""
    if recipe is None or one in ("tokenizer", "data_order", "architecture"):
        return None
    return field_value(recipe, one)


def _comparable(one: FieldName, told: Mapping[str, Evidence]) -> list[list[str]]:
    """Members whose values can be compared: those that were computed, and those that were declared alike."""
    groups: dict[str, list[str]] = {}
    for name, evidence in told.items():
        if evidence.value is not None and evidence.status in ("verified", "declared"):
            key = "any" if one in ("tokens", "sequence_length", "architecture") else evidence.status
            groups.setdefault(key, []).append(name)
    return list(groups.values())


def _against(value: str | None, usual: str | None, names: Sequence[str]) -> str:
    """Say what a member has and what the others have: of settings, only those that are not equal."""
    who = f"{', '.join(names[:3])}{' and others' if len(names) > 3 else ''}"
    mine, theirs = _settings(value), _settings(usual)
    if mine is not None and theirs is not None:
        keys = [key for key in sorted({*mine, *theirs}) if mine.get(key) != theirs.get(key)]
        return "; ".join(
            f"{key} {_short(mine.get(key))} where {who}: {_short(theirs.get(key))}" for key in keys
        )
    return f"{_short(value)} where {who}: {_short(usual)}"


def _settings(value: str | None) -> dict[str, Any] | None:
    try:
        parsed = json.loads(value or "")
    except ValueError:
        return None
    return parsed if isinstance(parsed, dict) else None


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


def _compare_architectures(rows: Mapping[str, MemberAudit], family: Family) -> None:
    """Mark members whose architecture block differs in a key that the contract does not let vary."""
    allowed = family.match.architecture_varies
    if allowed is None:
        return
    held = {}
    for name, row in rows.items():
        block = family.members[name].architecture or {}
        if not row.control:
            kept = {key: value for key, value in block.items() if key not in allowed}
            held[name] = json.dumps(kept, sort_keys=True, default=str)
    usual = Counter(held.values()).most_common(1)[0][0] if held else None
    for name, value in held.items():
        evidence = rows[name].evidence["architecture"]
        if value != usual and evidence.status != "differs":
            others = [other for other in held if held[other] == usual]
            note = f"{_against(value, usual, others)}; only {', '.join(allowed)} may differ"
            rows[name].evidence["architecture"] = replace(evidence, status="differs", note=note)


def _compare_sizes(rows: Mapping[str, MemberAudit], family: Family) -> None:
    """Mark members whose size is out of the family's tolerance."""
    if "size" in family.match.varies:
        return
    aim = family.match.size
    known = {name: float(row.evidence["size"].value or 0) for name, row in rows.items() if _is_number(row)}
    if not known:
        return
    middle = aim.target or statistics.median(known.values())
    far = {name for name, value in known.items() if abs(value / middle - 1) > aim.tolerance}
    smallest, largest = min(known, key=known.__getitem__), max(known, key=known.__getitem__)
    if known[largest] / known[smallest] - 1 > aim.tolerance:
        far |= {smallest, largest}
    elif aim.target is None:
        far = set()
    for name in far:
        note = (
            f"{known[name]:,.0f} {aim.quantity}, {100 * (known[name] / middle - 1):+.1f} % of "
            f"{middle:,.0f}; tolerance {100 * aim.tolerance:g} %"
        )
        rows[name].evidence["size"] = replace(rows[name].evidence["size"], status="differs", note=note)


def _is_number(row: MemberAudit) -> bool:
    value = row.evidence["size"].value if "size" in row.evidence else None
    try:
        return value is not None and float(value) > 0
    except ValueError:
        return False
