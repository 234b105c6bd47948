"""Sentences about the work of a run: who shares prefixes, and how near the least work the run came."""

from __future__ import annotations

from archbench.results.frames import RunResults
from archbench.results.work import Work, work_of

_HOW = {"chunk": "whole prefixes", "steps": "prefixes, followed token by token"}


def sharing_warnings(results: RunResults) -> list[str]:
    """A sentence for every member that shares no prefixes."""
    lines = []
    for member in results.manifest.get("members", []):
        sharing = member.get("sharing") or {}
        if sharing.get("level") == "none":
            lines.append(
                f"WARNING: {member['name']} shares no prefixes: {sharing['reason']}. Scores are exact; its "
                "requests were each computed on their own."
            )
    return lines


def sharing_lines(results: RunResults) -> list[str]:
    """How each member shares prefixes, and the tokens that the run requested, needed and forwarded."""
    lines = []
    groups: dict[str, list[str]] = {}
    for member in results.manifest.get("members", []):
        level = (member.get("sharing") or {}).get("level")
        if level != "none":
            groups.setdefault(_HOW.get(str(level), "not recorded"), []).append(str(member["name"]))
    if groups:
        told = "; ".join(f"{', '.join(names)}: {how}" for how, names in groups.items())
        lines.append(f"Prefix sharing: {told}.")
    total = work_of(results.headers)
    if total.cells:
        lines.append(f"Tokens: {statement(total)}.")
    return lines


def statement(work: Work) -> str:
    """The work of some cells in words."""
    text = f"{work.requested:,} requested, {work.distinct:,} distinct, {work.forwarded:,} forwarded"
    if work.bound_reached is not None:
        text += f" ({work.bound_reached:.0%} of the speed-up that sharing prefixes allows)"
    if work.unknown:
        text += f"; {work.unknown} cells do not record theirs"
    return text
