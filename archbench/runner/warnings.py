"""What is seen in a cell's answers that makes its scores doubtful."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from archbench.engine import NEVER_ENDS, Usage, spanning
from archbench.errors import amount
from archbench.tasks.work import Row


def warnings_of(rows: Sequence[Row], used: Usage, lm: Any) -> Iterator[str]:
    """Warnings of one cell, for its header: a sentence or two each.

    Args:
        rows: Its item rows.
        used: What the model did for it.
        lm: The model.
    """
    tied = all_tied(rows)
    if tied:
        yield (
            f"in {'all ' if tied > 1 else ''}{amount(tied, 'item')} every option has one and the same "
            "log-likelihood, so the first is always "
            "chosen and the score says nothing about the model. Look at what the tokenizer makes of the "
            "options (special tokens, unknown tokens), and at the model's weights and dtype."
        )
    if used.pairs_spanned:
        yield spanning(int(used.pairs_spanned), int(used.pairs), getattr(lm, "border", "") == "exact")
    if used.prefixes_refused:
        yield (
            f"{amount(int(used.prefixes_refused), 'shared prefix was', 'shared prefixes were')} computed "
            "more than once, because their "
            "states do not fit into engine.cache_bytes. Scores are exact; a larger value is faster."
        )
    if getattr(lm, "never_ends", False) and any("loglikelihoods" not in row for row in rows):
        yield NEVER_ENDS


def all_tied(rows: Sequence[Row]) -> int:
    """How many items have different options, if the options of every one of them tie; 0 otherwise."""
    scored = [
        row["loglikelihoods"]
        for row in rows
        if len(set(row.get("choices") or ())) > 1 and row.get("loglikelihoods") is not None
    ]
    return len(scored) if all(len(set(lls)) == 1 for lls in scored) else 0
