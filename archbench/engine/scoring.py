"""Score pairs of token ids: plan the rows, run them in batches, put the answers together."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby

from archbench.engine.batching import Budget, Row, plan_rows
from archbench.engine.forward import Scorer
from archbench.errors import RunError

IdPair = tuple[list[int], list[int]]
"""Ids of a context and of its continuation, neither empty."""

# Logits of one batch in float32 stay below this; rows with much to score make smaller batches.
_LOGITS_BYTES = 2**31


def score_pairs(
    pairs: Sequence[IdPair],
    *,
    scorer: Scorer,
    budget: Budget,
    check: Callable[[str, Sequence[int], int], None],
    done: Callable[[list[int]], None],
    name: str,
) -> tuple[list[tuple[float, bool]], dict[str, int]]:
    """Log-likelihood of each continuation after its context.

    Args:
        pairs: What to score.
        scorer: What runs the forward passes.
        budget: Tokens that one of them may hold.
        check: Called before any forward pass with (which request, its ids, length that has to fit).
        done: Called after each batch with the indices of the pairs it answered.
        name: The model's name, for messages.

    Returns:
        For each pair the sum of its continuation's log-probabilities (nats) and whether every one of
        its tokens is the greedy one; and counts of tokens and batches for `Usage`.

    Raises:
        RunError: A log-likelihood is not finite, or memory ran out on a single input.
    """
    for index, (context, continuation) in enumerate(pairs):
        check(f"Request {index}", [*context, *continuation], len(context) + len(continuation) - 1)
    # A position to score weighs as much of the budget as its logits take up of theirs.
    weight = budget.tokens * scorer.vocab * 4 / _LOGITS_BYTES

    def cost(row: Row) -> int:
        positions = len({target.position for target in row.targets})
        return max(len(row.tokens), math.ceil(positions * weight))

    results = [(math.nan, False)] * len(pairs)
    counts = Counter(tokens_requested=0, tokens_forwarded=0, tokens_padded=0, batches=0)
    batches = (
        batch for some in _mixable(plan_rows(pairs), scorer) for batch in budget.run(some, cost, scorer.score)
    )
    for rows, scores in batches:
        for row, scored in zip(rows, scores, strict=True):
            for index, targets in row.requests:
                total = math.fsum(scored[target].logprob for target in targets)
                if not math.isfinite(total):
                    raise RunError(
                        f"The log-likelihood of request {index} under {name} is {total}: the model diverged, "
                        "or its dtype overflows. Check its weights, or load it in float32."
                    )
                results[index] = (total, all(scored[target].greedy for target in targets))
        forwarded = sum(len(row.tokens) for row in rows)
        counts["tokens_requested"] += sum(len(row.tokens) * len(row.requests) for row in rows)
        counts["tokens_forwarded"] += forwarded
        counts["tokens_padded"] += len(rows) * max(len(row.tokens) for row in rows) - forwarded
        counts["batches"] += 1
        done([index for row in rows for index, _ in row.requests])
    return results, dict(counts)


def _mixable(rows: list[Row], scorer: Scorer) -> Iterator[list[Row]]:
    """Rows that may stand in one batch: all, or equally long ones where a batch's width matters."""
    if not scorer.depends_on_width:
        yield rows
        return
    for _, group in groupby(rows, key=lambda row: len(row.tokens)):
        yield list(group)
