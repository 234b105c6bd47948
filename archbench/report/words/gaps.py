"""What a run lacks, in words: a cell, or everything."""

from __future__ import annotations

from archbench.errors import amount
from archbench.results.frames import RunResults
from archbench.results.header import CellHeader


def nothing(results: RunResults) -> str:
    """Say why there is nothing to report on."""
    failed = [header for header in results.headers if header.status == "failed"]
    usable = [header for header in results.headers if header.id not in results.set_aside]
    complete = [header for header in usable if header.status == "complete"]
    if not failed and complete and all(header.excluded for header in complete):
        return (
            f"{results.folder} has nothing to report on: every item is too long for a member and "
            "was left out (engine.too_long: exclude). Ask for shorter prompts, or raise "
            "engine.max_length where it is below what the members take."
        )
    if complete:
        cells = amount(len(complete), "cell")
        return f"{results.folder} has nothing to report on: no item of its {cells} has a score."
    aside = f", {len(results.set_aside)} set aside" if results.set_aside else ""
    why = f" The first failure: {failed[0].id}: {failed[0].error}" if failed else ""
    why = why or (f" {results.warnings[0]}" if results.warnings else "")
    return (
        f"{results.folder} has no complete cell to report on ({len(failed)} failed{aside}). "
        f"Give the run command again.{why}"
    )


def gap_of(header: CellHeader | None, answered: int, left_out: int) -> str | None:
    """What a cell lacks, in words; None where it has all."""
    if header is None:
        return "no result"
    if header.status == "failed":
        return f"failed ({header.error})"
    if header.metric is None:
        return None
    if header.items and header.excluded == header.items:
        every = "the only item is" if header.items == 1 else f"all {header.items:,} items are"
        return f"{every} longer than it takes, so it has no score"
    if header.excluded:
        return f"{header.excluded:,} of {amount(header.items, 'item')} are longer than it takes"
    compared = header.items - left_out
    if answered < compared or not answered:
        return f"{compared - answered:,} of {amount(compared, 'item')} without a score"
    return None
