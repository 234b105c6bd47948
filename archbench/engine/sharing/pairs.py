"""Score pairs of token ids: lay them into a trie, walk it, put the answers together."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from archbench.engine.scoring.batching import Budget
from archbench.engine.scoring.finite import NotFiniteError
from archbench.engine.scoring.forward import Scorer
from archbench.engine.scoring.rows import Answer, IdPair, Score
from archbench.engine.sharing.exactness import PLAIN, exactness
from archbench.engine.sharing.trie import Trie
from archbench.engine.sharing.walk import Scored, score_trie
from archbench.engine.usage import Meter


def score_pairs(
    pairs: Sequence[IdPair], scorer: Scorer, budget: Budget, meter: Meter
) -> Iterator[dict[int, Answer]]:
    """Log-likelihood of each continuation after its context.

    The corrections of `cache.corrections.exact_states` have to be in force until the iterator is exhausted.

    Args:
        pairs: What to score.
        scorer: What runs the forward passes.
        budget: Tokens that one of them may hold, and memory for held prefixes.
        meter: Counts the work before its answers are yielded.

    Yields:
        After each forward pass the answers that it completed, by the index of their pair.

    Raises:
        NotFiniteError: A log-likelihood is not finite.
        RunError: Memory ran out on a single input.
    """
    whole = Trie(pairs)
    # What could be shared is the requests' own, also where this model may not share between groups.
    meter.count(tokens_distinct=whole.distinct)
    groups = _comparable(pairs, scorer)
    for group in groups:
        trie = whole if len(groups) == 1 else Trie([pairs[index] for index in group])
        found = exactness(scorer) if len(trie.paths) > 1 else PLAIN
        answers = _Answers(trie, group, scorer.name)
        for scored in score_trie(trie, scorer, budget, found, meter):
            finished = answers.finished_by(scored)
            # What is predicted last is never fed.
            requested = sum(len(pairs[index][0]) + len(pairs[index][1]) - 1 for index in finished)
            meter.count(tokens_requested=requested)
            yield finished


def _comparable(pairs: Sequence[IdPair], scorer: Scorer) -> list[list[int]]:
    """Indices of pairs that may share tokens: all, or equally long ones where an input's length matters."""
    if not scorer.depends_on_width:
        return [list(range(len(pairs)))] if pairs else []
    groups: dict[int, list[int]] = {}
    for index, (context, continuation) in enumerate(pairs):
        groups.setdefault(len(context) + len(continuation), []).append(index)
    # Longest first: whatever runs out of memory does so at once.
    return [groups[length] for length in sorted(groups, reverse=True)]


class _Answers:
    """Puts scores of targets together to answers of requests."""

    def __init__(self, trie: Trie, indices: Sequence[int], name: str) -> None:
        """Begin without any score.

        Args:
            trie: What is scored.
            indices: For each request of the trie its index as the caller counts it.
            name: The model's name, for messages.
        """
        self._trie = trie
        self._indices = indices
        self._name = name
        self._scores: list[list[Score | None]] = [[None] * len(targets) for targets in trie.targets]
        self._waiting: list[list[list[int]]] = [[[] for _ in targets] for targets in trie.targets]
        self._missing = []
        for index, targets in enumerate(trie.answers):
            # A target may stand more than once in an answer only if it stood at more than one position.
            self._missing.append(len(targets))
            for path, place in targets:
                self._waiting[path][place].append(index)

    def finished_by(self, scored: Sequence[Scored]) -> dict[int, Answer]:
        """Answers that these scores complete, by the index of their request as the caller counts it."""
        finished = {}
        for path, place, score in scored:
            self._scores[path][place] = score
            for index in self._waiting[path][place]:
                self._missing[index] -= 1
                if not self._missing[index]:
                    finished[self._indices[index]] = self._answer(index)
        return finished

    def _answer(self, index: int) -> Answer:
        scores = [score for path, place in self._trie.answers[index] if (score := self._scores[path][place])]
        total = math.fsum(score.logprob for score in scores)
        if not math.isfinite(total):
            # What is no number in the logits was refused before: what is left is a masked token.
            raise NotFiniteError(
                f"The log-likelihood of request {self._indices[index]} under {self._name} is {total}: the "
                "model masks a token of the continuation (its logit is minus infinity), so that the text "
                "has no probability. Leave the item out, or use a tokenizer whose tokens it can all predict."
            )
        return total, all(score.greedy for score in scores)
