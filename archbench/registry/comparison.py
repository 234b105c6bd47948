"""Whether members are equal in what is held equal: fields, architectures but for what may differ, sizes."""

from __future__ import annotations

import json
import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from archbench.registry.contract import Evidence, FieldName
from archbench.registry.evidence import field_value
from archbench.registry.family import Family
from archbench.registry.verdict import Audit, MemberAudit


def compared(found: Audit, family: Family, recipe: Mapping[str, Any] | None) -> Audit:
    """The audit with what differs between the members marked."""
    rows = {name: replace(row, evidence=dict(row.evidence)) for name, row in found.members.items()}
    notes = list(found.notes)
    for one in found.controlled:
        if one == "size":
            continue
        known = {name: row.evidence[one] for name, row in rows.items() if one in row.evidence}
        planned = _planned(one, recipe)
        for group in _comparable(one, known):
            values = {name: known[name].value for name in group}
            expected = _completed(planned, values.values())
            if len(set(values.values())) > 1:
                usual = (
                    expected if expected in values.values() else Counter(values.values()).most_common(1)[0][0]
                )
                for name in group:
                    if values[name] != usual:
                        others = [other for other in group if values[other] == usual]
                        note = _against(values[name], usual, others or ["the family file"])
                        rows[name].evidence[one] = replace(known[name], status="differs", note=note)
            elif expected is not None and (apart := set(values.values()) - {expected}):
                note = _against(apart.pop(), expected, ["the family file says"])
                notes.append(f"{one.replace('_', ' ')}, of all members: {note}")
    _compare_architectures(rows, family)
    _compare_sizes(rows, family)
    return replace(found, members=rows, notes=notes)


def _planned(one: FieldName, recipe: Mapping[str, Any] | None) -> str | None:
    """The value that the family file's recipe leads to, where members are compared by what a recipe says."""
    if recipe is None or one in ("tokenizer", "data_order", "architecture"):
        return None
    return field_value(recipe, one)


def _completed(planned: str | None, values: Iterable[str | None]) -> str | None:
    """The plan with the digests of text that it does not state, taken from what was trained by it.

    A family file names a folder, a record the text that was in it.
    """
    plan = _settings(planned)
    for value, _ in Counter(values).most_common():
        settings = _settings(value)
        if plan is not None and settings is not None:
            stated = {k: one for k, one in settings.items() if k in plan or k.rsplit(".", 1)[-1] != "digest"}
            if stated == plan:
                return value
    return planned


def _comparable(one: FieldName, known: Mapping[str, Evidence]) -> list[list[str]]:
    """Members whose values can be compared: those that were computed, and those that were declared alike."""
    groups: dict[str, list[str]] = {}
    for name, evidence in known.items():
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
