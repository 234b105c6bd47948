"""Score pairs of token ids: lay them into a trie, walk it, put the answers together."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

from archbench.engine.batching import Budget
from archbench.engine.caches import exact_states
from archbench.engine.forks import Costs
from archbench.engine.forward import Score, Scorer
from archbench.engine.gate import Exactness, exactness
from archbench.engine.share import Walk
from archbench.engine.trie import Trie
from archbench.errors import RunError

IdPair = tuple[list[int], list[int]]
"""Ids of a context and of its continuation, neither empty."""

# Logits of one batch in float32 stay below this; rows with much to score make smaller batches.
_LOGITS_BYTES = 2**31

# Time of an almost empty forward pass, in the time that a token takes in a full one: on a CPU the overhead
# of Python, on an accelerator also the width below which it idles. Fixed, not measured, so that every run
# makes the same batches.
_FORWARD_TOKENS = {"cpu": 16.0}
_FORWARD_TOKENS_ELSEWHERE = 512.0


class Settings(NamedTuple):
    """How pairs are scored.

    Attributes:
        cache_bytes: Memory that held prefixes may take; 0 shares none.
        limit: Longest input in tokens; None where there is none.
        name: The model's name, for messages.
    """

    cache_bytes: int
    limit: int | None
    name: str


def score_pairs(
    pairs: Sequence[IdPair],
    *,
    scorer: Scorer,
    budget: Budget,
    settings: Settings,
    check: Callable[[str, Sequence[int], int], None],
    done: Callable[[list[int]], None],
) -> tuple[list[tuple[float, bool]], dict[str, int]]:
    """Log-likelihood of each continuation after its context.

    Args:
        pairs: What to score.
        scorer: What runs the forward passes.
        budget: Tokens that one of them may hold.
        settings: How to score.
        check: Called before any forward pass with (which request, its ids, length that has to fit).
        done: Called after each batch with the indices of the pairs it answered.

    Returns:
        For each pair the sum of its continuation's log-probabilities (nats) and whether every one of
        its tokens is the greedy one; and counts of tokens and batches for `Usage`.

    Raises:
        RunError: A log-likelihood is not finite, or memory ran out on a single input.
    """
    for index, (context, continuation) in enumerate(pairs):
        check(f"Request {index}", [*context, *continuation], len(context) + len(continuation) - 1)
    trie = Trie(pairs)
    answers = _Answers(trie, settings.name)
    with exact_states(scorer.model):
        found = exactness(scorer, limit=settings.limit, name=settings.name) if len(trie.paths) > 1 else None
        # A position to score weighs as much of the budget as its logits take up of theirs.
        weight = budget.tokens * scorer.vocab * 4 / _LOGITS_BYTES

        def row_cost(tokens: int, positions: int) -> int:
            if found is not None and not found.batched:
                return max(tokens, budget.tokens)
            return max(tokens, math.ceil(positions * weight))

        forward = _FORWARD_TOKENS.get(scorer.model.device.type, _FORWARD_TOKENS_ELSEWHERE)
        costs = _costs(found, forward, budget, settings)
        walk = Walk(trie, scorer, budget, costs, row_cost=row_cost, forward=forward)
        walk.run(answers.take, lambda: done(answers.finished()))
    counts = {
        "tokens_requested": trie.tokens_requested,
        "tokens_distinct": trie.distinct,
        "tokens_forwarded": walk.forwarded,
        "tokens_padded": walk.padded,
        "batches": walk.batches,
    }
    return answers.results, counts


def _costs(found: Exactness | None, forward: float, budget: Budget, settings: Settings) -> Costs | None:
    if found is None or found.level == "none" or settings.cache_bytes == 0:
        return None
    return Costs(
        forward=forward,
        stepwise=found.level == "steps",
        row_tokens=budget.tokens,
        fixed_bytes=found.fixed_bytes,
        token_bytes=found.token_bytes,
        cache_bytes=settings.cache_bytes,
    )


class _Answers:
    """Puts scores of targets together to answers of requests.

    Attributes:
        results: For each request its log-likelihood and whether it is greedy.
    """

    def __init__(self, trie: Trie, name: str) -> None:
        self._answers = trie.answers
        self._name = name
        self._scores: list[list[Score | None]] = [[None] * len(targets) for targets in trie.targets]
        self._asking: list[list[list[int]]] = [[[] for _ in targets] for targets in trie.targets]
        self._missing = []
        for index, targets in enumerate(trie.answers):
            # A target may stand more than once in an answer only if it stood at more than one position.
            self._missing.append(len(targets))
            for path, place in targets:
                self._asking[path][place].append(index)
        self._ready: list[int] = []
        self.results: list[tuple[float, bool]] = [(math.nan, False)] * len(trie.answers)

    def take(self, path: int, place: int, score: Score) -> None:
        """Note the score of a target."""
        self._scores[path][place] = score
        for index in self._asking[path][place]:
            self._missing[index] -= 1
            if not self._missing[index]:
                self._answer(index)

    def finished(self) -> list[int]:
        """Requests that have been answered since the last call."""
        ready, self._ready = self._ready, []
        return ready

    def _answer(self, index: int) -> None:
        scores = [score for path, place in self._answers[index] if (score := self._scores[path][place])]
        total = math.fsum(score.logprob for score in scores)
        if not math.isfinite(total):
            raise RunError(
                f"The log-likelihood of request {index} under {self._name} is {total}: the model diverged, "
                "or its dtype overflows. Check its weights, or load it in float32."
            )
        self.results[index] = (total, all(score.greedy for score in scores))
        self._ready.append(index)
