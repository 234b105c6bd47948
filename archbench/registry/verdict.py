"""What an audit found: evidence by member and field, what differs, and one verdict.

- `matched`: every controlled field of every member is verified and equal;
- `declared`: nothing is known to differ, but some of it rests on somebody's word (or is not known);
- `unmatched`: something differs, or nobody says what data, tokenizer or number of tokens a member had.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from archbench.registry.contract import ESSENTIAL, FIELDS, Evidence, FieldName, Verdict


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
            # One cause may touch many fields: it is stated once.
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
