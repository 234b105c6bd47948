"""Walk a trie with a model: depth first, every held prefix computed once, leaves batched under it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from archbench.engine.cache.states import own_storage
from archbench.engine.scoring.batching import Budget
from archbench.engine.scoring.forward import Past, Scorer
from archbench.engine.scoring.rows import Score, Segment, Target
from archbench.engine.sharing.costs import forward_tokens, sharing_costs
from archbench.engine.sharing.exactness import Exactness
from archbench.engine.sharing.forks import PAST, Fork, Forks, Subtree
from archbench.engine.sharing.held import Held, Pool
from archbench.engine.sharing.trie import Trie
from archbench.engine.usage import Meter

if TYPE_CHECKING:
    from transformers import DynamicCache

# Padding costs no more than this part of a batch, unless a forward pass costs more.
_PADDING = 0.1

# Logits of one batch in float32 stay below this; rows with much to score make smaller batches.
_LOGITS_BYTES = 2**31

T = TypeVar("T")


class Scored(NamedTuple):
    """The score of one target of a trie.

    Attributes:
        path: Index of the path.
        place: Index into the path's targets.
        score: The score.
    """

    path: int
    place: int
    score: Score


Branches = Callable[["Held | None", Sequence[Subtree], Sequence[Scored]], Iterator[T]]
"""What is done with a held state (None: nothing is held), the rows that go on from it on their own, and the
scores of targets on the prefix itself: an iterator of what comes of it, batch by batch."""


def score_trie(
    trie: Trie, scorer: Scorer, budget: Budget, found: Exactness, meter: Meter
) -> Iterator[Sequence[Scored]]:
    """Score every target of a trie, each exactly once.

    The corrections of `cache.corrections.exact_states` have to be in force until the iterator is exhausted.

    Args:
        trie: What to score.
        scorer: What runs the forward passes.
        budget: Tokens that one of them may hold, and memory for held prefixes.
        found: What the model was found fit for.
        meter: Counts the work before its scores are yielded.

    Yields:
        After each forward pass the scores that it gave.

    Raises:
        RunError: Memory ran out on a single input.
    """
    walk = Walk(trie, scorer, budget, found, meter)
    return walk.visit(walk.score)


class Walk:
    """Visits a trie depth first and holds every prefix worth holding.

    Attributes:
        costs: What decides about forks; None where nothing is held.
    """

    def __init__(
        self,
        trie: Trie,
        scorer: Scorer,
        budget: Budget,
        found: Exactness,
        meter: Meter,
        *,
        steps: int = 0,
    ) -> None:
        """Prepare a walk.

        Args:
            trie: What to visit.
            scorer: What runs the forward passes.
            budget: Tokens that one of them may hold, and memory for held prefixes.
            found: What the model was found fit for.
            meter: Counts the work.
            steps: Further forward passes that rows apart from others take, where they are decoded.
        """
        self._trie = trie
        self._scorer = scorer
        self._budget = budget
        self._found = found
        self._meter = meter
        self._forward = forward_tokens(scorer)
        self.costs = sharing_costs(found, scorer, budget)
        if self.costs is not None:
            self.costs = self.costs._replace(apart=self._forward * steps)
        self._pool = Pool(self.costs.cache_bytes if self.costs else 0)
        # A position to score weighs as much of the budget as its logits take up of theirs.
        self._weight = budget.tokens * scorer.vocab * 4 / _LOGITS_BYTES

    def visit(self, branches: Branches[T]) -> Iterator[T]:
        """Hold every prefix worth holding, depth first, and hand over what goes on from each.

        Args:
            branches: Called with every held state, and at the end with None.

        Yields:
            What the iterators that `branches` returns yield.

        Raises:
            RunError: Memory ran out on a single input.
        """
        paths = len(self._trie.paths)
        if self.costs is None:
            yield from branches(None, [Subtree(i, i + 1, 0) for i in range(paths)], [])
            return
        forks = Forks(self._trie, self.costs)
        alone, first = forks.after(0, [Subtree(0, paths, 0)], 0.0)
        stack: list[tuple[Held | None, Fork]] = [(None, fork) for fork in reversed(first)]
        # Forks first: they are the longer inputs, and whatever runs out of memory does so at once.
        while stack:
            parent, fork = stack.pop()
            held, done, scored = self._extend(parent, fork)
            if done < len(fork.subtrees):
                stack.append((parent, Fork(fork.subtrees[done:], fork.depth)))
            below = [subtree._replace(row=row) for row, subtree in enumerate(fork.subtrees[:done])]
            under, further = forks.after(held.depth, below, held.chain)
            yield from branches(held, under, scored)
            stack.extend((held, one) for one in reversed(further))
            # Nothing goes on from it any more, or else the stack holds it: room for the next one.
            del held, parent
        yield from branches(None, alone, [])
        self._meter.count(prefixes_refused=forks.refused)

    def score(
        self, parent: Held | None, leaves: Sequence[Subtree], scored: Sequence[Scored]
    ) -> Iterator[Sequence[Scored]]:
        """Scores on a held prefix, and then of the rows that go on from it: the `Branches` of scoring."""
        if parent is not None:
            yield scored
        start = parent.depth if parent else 0
        lengths = {one.first: len(self._trie.paths[one.first]) for one in leaves}
        # Longest first: whatever runs out of memory does so at once, and neighbours need little padding.
        ordered = sorted(leaves, key=lambda one: (-lengths[one.first], one.first))

        def cost(leaf: Subtree) -> int:
            return self._cost(leaf.first, start, lengths[leaf.first])

        def work(batch: Sequence[Subtree]) -> list[list[Score]]:
            segments = [self._segment(one.first, start, lengths[one.first]) for one in batch]
            past = self.past(parent, [one.row for one in batch])
            return self._scorer.score(
                segments, past=past, stepwise=self._stepwise, in_place=self._found.in_place
            )[0]

        for group in self._alike(ordered, lambda leaf: lengths[leaf.first] - start):
            for batch, scores in self._budget.run(group, cost, work):
                self._count([lengths[one.first] - start for one in batch])
                yield [
                    one
                    for leaf, found in zip(batch, scores, strict=True)
                    for one in self._scored(leaf, start, lengths[leaf.first], found)
                ]

    def past(self, parent: Held | None, rows: Sequence[int]) -> Past | None:
        """What rows of a batch go on from: the state, computed again if it was thrown away."""
        if parent is None:
            return None
        if parent.cache is not None:
            return Past(parent.cache, parent.depth, rows)
        # Only the rows that are needed: all of them together may be more than a pass holds.
        wanted = sorted(set(rows))
        tokens = [self._trie.paths[parent.paths[row]][: parent.depth] for row in wanted]
        cache = self._scorer.logits(tokens, [], keep=True)[1]
        assert cache is not None
        self._count([parent.depth] * len(tokens))
        if len(wanted) == len(parent.paths):
            parent.cache = cache
            self._pool.admit(parent)
        return Past(cache, parent.depth, [wanted.index(row) for row in rows])

    def _extend(self, parent: Held | None, fork: Fork) -> tuple[Held, int, list[Scored]]:
        """Compute a fork's states, for as many of its subtrees as fit, and score what lies on the way."""
        start = parent.depth if parent else 0

        def cost(subtree: Subtree) -> int:
            return self._cost(subtree.first, start, fork.depth)

        def work(batch: Sequence[Subtree]) -> tuple[list[list[Score]], DynamicCache | None]:
            segments = [self._segment(one.first, start, fork.depth) for one in batch]
            past = self.past(parent, [one.row for one in batch])
            return self._scorer.score(segments, past=past, keep=True, stepwise=self._stepwise)

        batch, (scores, cache) = next(self._budget.run(fork.subtrees, cost, work))
        assert cache is not None
        self._count([fork.depth - start] * len(batch))
        own_storage(cache)
        before = parent.chain if parent else 0
        held = Held([one.first for one in batch], fork.depth, cache, before)
        self._pool.admit(held)
        scored = [
            one
            for subtree, found in zip(batch, scores, strict=True)
            for one in self._scored(subtree, start, fork.depth, found)
        ]
        return held, len(batch), scored

    def _alike(self, ordered: Sequence[Subtree], length: Callable[[Subtree], int]) -> Iterator[list[Subtree]]:
        """Cut rows, longest first, where padding the next one would cost more than a forward pass."""
        group: list[Subtree] = []
        tokens = padding = 0
        for row in ordered:
            more = length(group[0]) - length(row) if group else 0
            if padding + more > max(self._forward, _PADDING * tokens):
                yield group
                group, tokens, padding, more = [], 0, 0, 0
            group.append(row)
            tokens += length(row)
            padding += more
        if group:
            yield group

    @property
    def _stepwise(self) -> bool:
        return self.costs is not None and self.costs.stepwise

    def _segment(self, path: int, start: int, end: int) -> Segment:
        """Tokens of a path from `start` to `end` and the targets on them."""
        targets = [
            Target(target.position - start, target.token)
            for target in self._trie.targets[path]
            if start <= target.position < end
        ]
        return Segment(self._trie.paths[path][start:end], targets)

    def _cost(self, path: int, start: int, end: int) -> int:
        """How much of the budget a path's tokens from `start` to `end` take."""
        tokens = end - start
        targets = {target.position for target in self._trie.targets[path] if start <= target.position < end}
        own = max(tokens, math.ceil(len(targets) * self._weight))
        if not self._found.batched:
            own = max(tokens, self._budget.tokens)
        return own + int(PAST * start)

    def _scored(self, subtree: Subtree, start: int, end: int, scores: Sequence[Score]) -> Iterator[Scored]:
        """Scores of a path's targets from `start` to `end`, with their places."""
        path = subtree.first
        places = [
            place for place, target in enumerate(self._trie.targets[path]) if start <= target.position < end
        ]
        for place, score in zip(places, scores, strict=True):
            yield Scored(path, place, score)

    def _count(self, lengths: Sequence[int]) -> None:
        padded = len(lengths) * max(lengths) - sum(lengths)
        self._meter.count(tokens_forwarded=sum(lengths), tokens_padded=padded, batches=1)
