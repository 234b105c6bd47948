"""Sentences about the work of a run: who shares prefixes, and how near the least work the run came."""

from __future__ import annotations

from archbench.errors import amount
from archbench.results.frames import RunResults
from archbench.results.header import CellHeader
from archbench.results.work import WITHOUT_STATES, Work, work_of

_HOW = {"chunk": "whole prefixes", "steps": "prefixes, followed token by token", "none": "none is held"}


def sharing_warnings(results: RunResults) -> list[str]:
    """A sentence for every member that holds no prefixes, or held none in some of its cells."""
    lines = []
    for member in results.manifest.get("members", []):
        sharing = member.get("sharing") or {}
        if sharing.get("level") == "none":
            reason = sharing.get("reason") or "no reason is recorded"
            if member.get("backend"):
                lines.append(f"WARNING: {member['name']} shares no prefixes: {reason}.")
                continue
            lines.append(
                f"WARNING: {member['name']} holds no prefixes: {reason}. Scores are exact; "
                f"{WITHOUT_STATES} were computed together."
            )
            continue
        cells = _complete(results, member["name"])
        if unshared := sum(one.sharing == "none" for one in cells):
            lines.append(
                f"WARNING: {member['name']} held no prefixes in {unshared:,} of "
                f"{amount(len(cells), 'cell')} when "
                f"they were run. Scores are exact; {WITHOUT_STATES} were computed together there."
            )
    return lines


def sharing_lines(results: RunResults, *, each: bool = True) -> list[str]:
    """How each member with results shares prefixes, and the tokens requested, needed and forwarded.

    Args:
        results: The run.
        each: Whether to give the tokens of each member, not of the whole run alone.
    """
    lines = []
    groups: dict[str, list[str]] = {}
    for member in results.manifest.get("members", []):
        if not _complete(results, member["name"]):
            continue
        sharing = member.get("sharing") or {}
        how = _HOW.get(str(sharing.get("level")), "not recorded")
        if sharing.get("reason"):
            how += f" ({sharing['reason']})"
        groups.setdefault(how, []).append(str(member["name"]))
    if groups:
        told = "; ".join(f"{', '.join(names)}: {how}" for how, names in groups.items())
        lines.append(f"Prefix sharing: {told}.")
    works = {name: work_of(_complete(results, name)) for name in results.members}
    if any(work.cells for work in works.values()):
        if each and len(works) > 1:
            lines += [
                f"Tokens of {name}: {statement(work)}."
                for name, work in works.items()
                if _complete(results, name)
            ]
        lines.append(f"Tokens of the run: {statement(work_of(results.headers))}.")
    return lines


def _complete(results: RunResults, member: str) -> list[CellHeader]:
    return [one for one in results.headers if (one.member, one.status) == (member, "complete")]


def statement(work: Work) -> str:
    """The work of some cells in words."""
    parts = []
    if work.cells:
        text = f"{work.requested:,} requested, {work.distinct:,} distinct, {work.forwarded:,} forwarded"
        if work.distinct == work.requested:
            text += " (the requests share no prefixes)"
        elif work.forwarded > work.requested:
            text += " (without a state to go on from, every generated token reads its text again)"
        elif work.bound_reached is not None:
            text += (
                f" ({work.ratio:.2f} times the distinct: {100 * work.bound_reached:.1f} % of the speed-up "
                "that sharing prefixes allows)"
            )
        parts.append(text)
    if work.unknown:
        parts.append(f"{work.unknown:,} of {work.cells + work.unknown:,} cells do not record theirs")
    if work.requests_known:
        parts.append(
            f"{amount(work.requests_known, 'request was', 'requests were')} answered already, of equal "
            "prompts in another cell or "
            "by a run that was stopped, and not counted"
        )
    return "; ".join(parts) or "no complete cell"
