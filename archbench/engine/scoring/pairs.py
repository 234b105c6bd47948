"""Score pairs of token ids: lay them into a trie, walk it, put the answers together."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

from archbench.engine.cache.corrections import exact_states
from archbench.engine.finite import NotFiniteError
from archbench.engine.scoring.batching import Budget
from archbench.engine.scoring.forward import Score, Scorer
from archbench.engine.sharing.exactness import Exactness, exactness
from archbench.engine.sharing.forks import Costs
from archbench.engine.sharing.trie import Trie
from archbench.engine.sharing.walk import Walk
from archbench.engine.usage import Count

IdPair = tuple[Sequence[int], Sequence[int]]
"""Ids of a context and of its continuation, neither empty."""

Done = Callable[[dict[int, tuple[float, bool]]], None]
"""Called with log-likelihoods (nats) and whether they are greedy, by index."""

# Logits of one batch in float32 stay below this; rows with much to score make smaller batches.
_LOGITS_BYTES = 2**31

# Time of an almost empty forward pass, in the time that a token takes in a full one: on a CPU the overhead
# of Python, on an accelerator also the width below which it idles. Fixed, not measured, so that every run
# makes the same batches.
_FORWARD_TOKENS = {"cpu": 32.0}
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
    done: Done,
    count: Count,
) -> list[tuple[float, bool]]:
    """Log-likelihood of each continuation after its context.

    Args:
        pairs: What to score.
        scorer: What runs the forward passes.
        budget: Tokens that one of them may hold.
        settings: How to score.
        done: Called after each batch with the answers that it completed, by the index of their pair.
        count: Told of tokens and batches as they are done, before `done` is.

    Returns:
        For each pair the sum of its continuation's log-probabilities (nats) and whether every one of
        its tokens is the greedy one.

    Raises:
        NotFiniteError: A log-likelihood is not finite.
        RunError: Memory ran out on a single input.
    """
    results = [(math.nan, False)] * len(pairs)

    def finished(found: dict[int, tuple[float, bool]]) -> None:
        # What is predicted last is never fed.
        count(tokens_requested=sum(len(pairs[index][0]) + len(pairs[index][1]) - 1 for index in found))
        done(found)

    whole = Trie(pairs)
    # What could be shared is the requests' own, also where this model may not share between groups.
    count(tokens_distinct=whole.distinct)
    groups = _comparable(pairs, scorer)
    for group in groups:
        trie = whole if len(groups) == 1 else Trie([pairs[index] for index in group])
        answers = _Answers(trie, group, settings.name)
        _walk(answers, scorer, budget, settings, finished, count)
        for index, answer in zip(group, answers.results, strict=True):
            results[index] = answer
    return results


def _comparable(pairs: Sequence[IdPair], scorer: Scorer) -> list[list[int]]:
    """Indices of pairs that may share tokens: all, or equally long ones where an input's length matters."""
    if not scorer.depends_on_width:
        return [list(range(len(pairs)))] if pairs else []
    groups: dict[int, list[int]] = {}
    for index, (context, continuation) in enumerate(pairs):
        groups.setdefault(len(context) + len(continuation), []).append(index)
    # Longest first: whatever runs out of memory does so at once.
    return [groups[length] for length in sorted(groups, reverse=True)]


def _walk(
    answers: _Answers, scorer: Scorer, budget: Budget, settings: Settings, done: Done, count: Count
) -> None:
    """Answer everything that is asked on a trie."""
    trie = answers.trie
    with exact_states(scorer.model):
        found = exactness(scorer, limit=settings.limit, name=settings.name) if len(trie.paths) > 1 else None
        # A position to score weighs as much of the budget as its logits take up of theirs.
        weight = budget.tokens * scorer.vocab * 4 / _LOGITS_BYTES

        def row_cost(tokens: int, positions: int) -> int:
            if found is not None and not found.batched:
                return max(tokens, budget.tokens)
            return max(tokens, math.ceil(positions * weight))

        forward = forward_tokens(scorer)
        costs = sharing_costs(found, forward, budget, settings)
        beside = found is not None and found.beside
        walk = Walk(
            trie, scorer, budget, costs, row_cost=row_cost, forward=forward, beside=beside, count=count
        )
        walk.run(answers.take, lambda: done(answers.finished()))


def forward_tokens(scorer: Scorer) -> float:
    """Fixed cost of one more forward pass, in tokens."""
    return _FORWARD_TOKENS.get(scorer.model.device.type, _FORWARD_TOKENS_ELSEWHERE)


def sharing_costs(
    found: Exactness | None, forward: float, budget: Budget, settings: Settings
) -> Costs | None:
    """What decides which prefixes are held; None where none may be.

    Args:
        found: What the model was found fit for; None where it was not asked.
        forward: Fixed cost of one more forward pass, in tokens.
        budget: Tokens that one may hold.
        settings: Memory for held prefixes.
    """
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
        trie: What is asked.
        results: For each request its log-likelihood and whether it is greedy.
    """

    def __init__(self, trie: Trie, indices: Sequence[int], name: str) -> None:
        self.trie = trie
        self._indices = indices
        self._name = name
        self._scores: list[list[Score | None]] = [[None] * len(targets) for targets in trie.targets]
        self._asking: list[list[list[int]]] = [[[] for _ in targets] for targets in trie.targets]
        self._missing = []
        for index, targets in enumerate(trie.answers):
            # A target may stand more than once in an answer only if it stood at more than one position.
            self._missing.append(len(targets))
            for path, place in targets:
                self._asking[path][place].append(index)
        self._ready: dict[int, tuple[float, bool]] = {}
        self.results: list[tuple[float, bool]] = [(math.nan, False)] * len(trie.answers)

    def take(self, path: int, place: int, score: Score) -> None:
        """Note the score of a target."""
        self._scores[path][place] = score
        for index in self._asking[path][place]:
            self._missing[index] -= 1
            if not self._missing[index]:
                self._answer(index)

    def finished(self) -> dict[int, tuple[float, bool]]:
        """Answers since the last call, by the index of their request as its caller counts it."""
        ready, self._ready = self._ready, {}
        return ready

    def _answer(self, index: int) -> None:
        scores = [score for path, place in self.trie.answers[index] if (score := self._scores[path][place])]
        total = math.fsum(score.logprob for score in scores)
        if not math.isfinite(total):
            # What is no number in the logits was refused before: what is left is a masked token.
            raise NotFiniteError(
                f"The log-likelihood of request {self._indices[index]} under {self._name} is {total}: the "
                "model masks a token of the continuation (its logit is minus infinity), so that the text "
                "has no probability. Leave the item out, or use a tokenizer whose tokens it can all predict."
            )
        self.results[index] = (total, all(score.greedy for score in scores))
        self._ready[self._indices[index]] = self.results[index]
