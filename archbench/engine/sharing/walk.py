"""Walk a trie with a model: depth first, every held prefix computed once, leaves batched under it."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from archbench.engine.cache.states import own_storage, size
from archbench.engine.scoring.batching import Budget
from archbench.engine.scoring.forward import Past, Score, Scorer, Segment
from archbench.engine.sharing.forks import PAST, Costs, Fork, Forks, Subtree
from archbench.engine.sharing.trie import Target, Trie
from archbench.engine.usage import Count

if TYPE_CHECKING:
    from transformers import DynamicCache

# Padding costs no more than this part of a batch, unless a forward pass costs more.
_PADDING = 0.1

Scored = Callable[[int, int, Score], None]
"""Called with (path, index into the path's targets, score)."""

Leaves = Callable[["Held | None", list[Subtree]], None]
"""Called with a held state (None: nothing is held) and the rows that go on from it."""


class Held:
    """State of some rows after the same number of tokens; computed again if it had to be thrown away.

    Attributes:
        paths: For each row a path that it is a prefix of.
        depth: The number of tokens.
        cache: The state, None where it was thrown away.
        chain: Bytes of the state and of those that it was computed from.
    """

    def __init__(self, paths: Sequence[int], depth: int, cache: DynamicCache, before: int = 0) -> None:
        self.paths = paths
        self.depth = depth
        self.cache: DynamicCache | None = cache
        self.bytes = size(cache)
        self.chain = before + self.bytes


class Pool:
    """Keeps held states within a number of bytes by throwing away the oldest.

    Depth first, the oldest is the shortest and the last that will be needed again.
    """

    def __init__(self, limit: int) -> None:
        """Hold at most `limit` bytes, but always the newest."""
        self._limit = limit
        self._held: list[weakref.ref[Held]] = []

    def admit(self, held: Held) -> None:
        """Count a state, throwing away older ones to make room for it."""
        alive = [one for ref in self._held if (one := ref()) is not None and one.cache is not None]
        alive = [one for one in alive if one is not held]
        total = held.bytes + sum(one.bytes for one in alive)
        for one in alive:
            if total <= self._limit:
                break
            one.cache = None
            total -= one.bytes
        self._held = [weakref.ref(one) for one in (*alive, held) if one.cache is not None]


class Walk:
    """Scores every target of a trie."""

    def __init__(
        self,
        trie: Trie,
        scorer: Scorer,
        budget: Budget,
        costs: Costs | None,
        *,
        row_cost: Callable[[int, int], int],
        forward: float,
        beside: bool,
        count: Count,
    ) -> None:
        """Prepare a walk.

        Args:
            trie: What to score.
            scorer: What forwards.
            budget: Tokens that one forward pass may hold.
            costs: What decides about forks; None holds nothing.
            row_cost: Called with (tokens, distinct positions to score) of a row: how much of the budget it
                takes.
            forward: Fixed cost of one more forward pass, in tokens.
            beside: Whether rows may attend to a prefix where it is held.
            count: Told of the tokens and batches that are forwarded.
        """
        self._trie = trie
        self._scorer = scorer
        self._budget = budget
        self._costs = costs
        self._row_cost = row_cost
        self._forward = forward
        self._pool = Pool(costs.cache_bytes if costs else 0)
        self._beside = beside
        self._told = count

    def run(self, scored: Scored, after_batch: Callable[[], None]) -> None:
        """Score everything.

        Args:
            scored: Called with every score.
            after_batch: Called after each forward pass whose scores have been told.

        Raises:
            RunError: Memory ran out on a single input.
        """

        def leaves(parent: Held | None, rows: list[Subtree]) -> None:
            self._leaves(parent, rows, scored, after_batch)

        self.visit(leaves, scored, after_batch)

    def visit(self, leaves: Leaves, scored: Scored, after_batch: Callable[[], None]) -> None:
        """Hold every prefix worth holding, depth first, and hand over what goes on from each.

        Args:
            leaves: Called with every held state, and at the end with None, and the paths that go on from
                there on their own.
            scored: Called with the scores of targets on held prefixes.
            after_batch: Called after each forward pass of held prefixes.

        Raises:
            RunError: Memory ran out on a single input.
        """
        paths = len(self._trie.paths)
        if self._costs is None:
            leaves(None, [Subtree(i, i + 1, 0) for i in range(paths)])
            return
        forks = Forks(self._trie, self._costs)
        alone, first = forks.after(0, [Subtree(0, paths, 0)], 0.0)
        stack: list[tuple[Held | None, Fork]] = [(None, fork) for fork in reversed(first)]
        # Forks first: they are the longer inputs, and whatever runs out of memory does so at once.
        while stack:
            parent, fork = stack.pop()
            held, done = self._extend(parent, fork, scored)
            after_batch()
            if done < len(fork.subtrees):
                stack.append((parent, Fork(fork.subtrees[done:], fork.depth)))
            below = [subtree._replace(row=row) for row, subtree in enumerate(fork.subtrees[:done])]
            under, further = forks.after(held.depth, below, held.chain)
            leaves(held, under)
            stack.extend((held, one) for one in reversed(further))
            # Nothing goes on from it any more, or else the stack holds it: room for the next one.
            del held, parent
        leaves(None, alone)
        self._told(prefixes_refused=forks.refused)

    def _extend(self, parent: Held | None, fork: Fork, scored: Scored) -> tuple[Held, int]:
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
        self._tell(batch, start, fork.depth, scores, scored)
        self._count([fork.depth - start] * len(batch))
        own_storage(cache)
        before = parent.chain if parent else 0
        held = Held([one.first for one in batch], fork.depth, cache, before)
        self._pool.admit(held)
        return held, len(batch)

    def _leaves(
        self, parent: Held | None, leaves: list[Subtree], scored: Scored, after_batch: Callable[[], None]
    ) -> None:
        start = parent.depth if parent else 0
        lengths = {one.first: len(self._trie.paths[one.first]) for one in leaves}
        # Longest first: whatever runs out of memory does so at once, and neighbours need little padding.
        ordered = sorted(leaves, key=lambda one: (-lengths[one.first], one.first))

        def cost(leaf: Subtree) -> int:
            return self._cost(leaf.first, start, lengths[leaf.first])

        def work(batch: Sequence[Subtree]) -> list[list[Score]]:
            segments = [self._segment(one.first, start, lengths[one.first]) for one in batch]
            past = self.past(parent, [one.row for one in batch])
            return self._scorer.score(segments, past=past, stepwise=self._stepwise, beside=self._beside)[0]

        for group in self._alike(ordered, lambda leaf: lengths[leaf.first] - start):
            for batch, scores in self._budget.run(group, cost, work):
                for leaf, found in zip(batch, scores, strict=True):
                    self._tell([leaf], start, lengths[leaf.first], [found], scored)
                self._count([lengths[one.first] - start for one in batch])
                after_batch()

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
        return self._costs is not None and self._costs.stepwise

    def past(self, parent: Held | None, rows: Sequence[int]) -> Past | None:
        """What rows of a batch go on from: the state, computed again if it was thrown away."""
        if parent is None:
            return None
        if parent.cache is not None:
            return Past(parent.cache, parent.depth, rows)
        # Only the rows that are asked for: all of them together may be more than a pass holds.
        wanted = sorted(set(rows))
        tokens = [self._trie.paths[parent.paths[row]][: parent.depth] for row in wanted]
        cache = self._scorer.logits(tokens, [], keep=True)[1]
        assert cache is not None
        self._count([parent.depth] * len(tokens))
        if len(wanted) == len(parent.paths):
            parent.cache = cache
            self._pool.admit(parent)
        return Past(cache, parent.depth, [wanted.index(row) for row in rows])

    def _segment(self, path: int, start: int, end: int) -> Segment:
        """Tokens of a path from `start` to `end` and the targets on them."""
        targets = [
            Target(target.position - start, target.token)
            for target in self._trie.targets[path]
            if start <= target.position < end
        ]
        return Segment(self._trie.paths[path][start:end], targets)

    def _cost(self, path: int, start: int, end: int) -> int:
        targets = {target.position for target in self._trie.targets[path] if start <= target.position < end}
        return self._row_cost(end - start, len(targets)) + int(PAST * start)

    def _tell(
        self,
        batch: Sequence[Subtree],
        start: int,
        end: int,
        scores: Sequence[Sequence[Score]],
        scored: Scored,
    ) -> None:
        for subtree, found in zip(batch, scores, strict=True):
            places = [
                place
                for place, target in enumerate(self._trie.targets[subtree.first])
                if start <= target.position < end
            ]
            for place, score in zip(places, found, strict=True):
                scored(subtree.first, place, score)

    def _count(self, lengths: Sequence[int]) -> None:
        padded = len(lengths) * max(lengths) - sum(lengths)
        self._told(tokens_forwarded=sum(lengths), tokens_padded=padded, batches=1)
