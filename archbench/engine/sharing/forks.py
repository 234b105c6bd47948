"""Which prefixes are worth holding: a cost model over a trie, without any model in it.

Work begins at a depth whose state is held (0: nothing is). Every path below either goes on from there on its
own (a *leaf row*), or first shares a longer prefix with others (a *fork*). Forks are computed several at a
time, without padding, because the state behind padding is useless to a recurrent layer: forks of nearly one
length are cut to the shortest of them, and the few tokens cut off are computed again in each of their rows.

    held   fork a  ────────────┤····   rows of a      ····  the tail of a fork that its rows compute again
    ───┤   fork b  ────────────┤·      rows of b
           row     ─────────────────
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from archbench.engine.sharing.trie import Trie

# Rough costs in tokens, that is in the time that one more token in a batch takes. A row of its own in a
# batch has to copy the state that it goes on from.
_ROW = 2.0
PAST = 1 / 16
"""What a held token that a row goes on from weighs in a batch, in tokens: its keys and values are copied."""
# Forks are cut to one length while this costs at most so much of the tokens below them, or half a forward
# pass.
_CUT = 0.02


class Subtree(NamedTuple):
    """Neighbouring paths that share a prefix.

    Attributes:
        first: Index of the first path, which stands for all on the shared part.
        end: Index behind the last path.
        row: Which row of the held state they go on from.
    """

    first: int
    end: int
    row: int


class Fork(NamedTuple):
    """Subtrees whose shared prefixes are computed together and held.

    Attributes:
        subtrees: The subtrees, one row each.
        depth: Length to which all of them are computed.
    """

    subtrees: tuple[Subtree, ...]
    depth: int


class Costs(NamedTuple):
    """What decides whether a fork pays.

    Attributes:
        forward: Fixed cost of one more forward pass, in tokens.
        stepwise: Whether tokens after a held prefix have to be fed one at a time.
        row_tokens: Tokens, with `PAST` per held one, that a forward pass may hold.
        fixed_bytes: Memory of the state of one row, whatever its length.
        token_bytes: Memory that each token of a row adds to it.
        cache_bytes: Memory that held states may take.
        apart: Further cost, in tokens, of working on a fork's rows apart from others: decoding them
            takes forward passes of its own.
    """

    forward: float
    stepwise: bool
    row_tokens: int
    fixed_bytes: float
    token_bytes: float
    cache_bytes: int
    apart: float = 0.0

    def held(self, depth: int) -> float:
        """Bytes of the state of one row of some length."""
        return self.fixed_bytes + self.token_bytes * depth


class Forks:
    """Decides, for paths that go on from a held depth, which forks to hold next.

    Attributes:
        refused: How many prefixes were worth holding and are not held for want of memory.
    """

    def __init__(self, trie: Trie, costs: Costs) -> None:
        """Look at a trie under some costs."""
        self._shared = np.array(trie.shared, dtype=np.int64)
        self._lengths = np.array([len(path) for path in trie.paths], dtype=np.int64)
        new = self._lengths - self._shared
        self._sums = np.concatenate([[0], new.cumsum()])
        self._costs = costs
        self.refused = 0

    def after(self, depth: int, subtrees: Iterable[Subtree], held: float) -> tuple[list[Subtree], list[Fork]]:
        """What to do with paths once the state of their first `depth` tokens is held.

        Args:
            depth: Tokens held.
            subtrees: The paths, each with at least `depth` tokens in common with its row.
            held: Bytes of all states that are held: of these tokens, and of what they were computed from.

        Returns:
            Leaf rows (subtrees of one path), and forks.
        """
        leaves: list[Subtree] = []
        candidates: list[tuple[int, Subtree]] = []
        waiting = list(subtrees)
        while waiting:
            self._sort_out(depth, waiting, leaves, candidates)
            forks, waiting = self._gather(depth, candidates, held, others=bool(leaves))
            if not waiting:
                return leaves, forks
            refused = set(waiting)
            candidates = [one for one in candidates if one[1] not in refused]
            waiting = [part for one in waiting for part in self._parts(one)]
        return leaves, []

    def _sort_out(
        self,
        depth: int,
        waiting: Iterable[Subtree],
        leaves: list[Subtree],
        candidates: list[tuple[int, Subtree]],
    ) -> None:
        """Put every subtree, or its parts, among the leaves or the candidates (with their shared depth)."""
        stack = list(waiting)
        while stack:
            subtree = stack.pop()
            if subtree.end - subtree.first == 1:
                leaves.append(subtree)
                continue
            common = self._common(subtree)
            saving = self._saving(depth, common, subtree)
            if saving > 0 and self._costs.held(common) <= self._costs.cache_bytes:
                candidates.append((common, subtree))
            else:
                self.refused += self._worthwhile(saving)
                stack.extend(self._parts(subtree))

    def _gather(
        self, depth: int, candidates: list[tuple[int, Subtree]], held: float, *, others: bool
    ) -> tuple[list[Fork], list[Subtree]]:
        """Batches of candidates, longest first, and the candidates that are not worth a forward pass.

        Those are refused too for which there is no memory next to `held`: to throw away for them what they go
        on from would cost its tokens again, and again after the next. `others` is whether there are rows
        other than the candidates.
        """
        costs = self._costs
        forks: list[Fork] = []
        refused: list[Subtree] = []
        left = sorted(candidates, key=lambda one: (-one[0], one[1]))
        spare = costs.cache_bytes - held
        # Behind the last of them, nothing forks further.
        last = max((at for at, (_, one) in enumerate(left) if self._forks_further(one)), default=-1)
        start = 0
        while start < len(left):
            # The longest goes first, so the rest of the batch fits into memory if it does.
            each = max(costs.held(left[start][0]), 1)
            if each > spare:
                self.refused += self._worthwhile(self._saving(depth, *left[start]))
                refused.append(left[start][1])
                start += 1
                continue
            # Half is left for the forks that follow below.
            room = max(1, int(spare / (2 if start <= last else 1) / each))
            end, saved, below, cut, fans = start, 0.0, 0.0, 0.0, 0.0
            cut_to = left[start][0]
            while end < len(left) and end - start < room:
                common, subtree = left[end]
                longer_cut = cut + fans * (cut_to - common)
                more_below = below + self._below(depth, subtree)
                weight = (end + 1 - start) * (left[start][0] - depth + PAST * depth)
                if end > start and (
                    longer_cut > max(_CUT * more_below, (costs.forward + costs.apart) / 2)
                    or weight > costs.row_tokens
                ):
                    break
                saved += self._saving(depth, common, subtree)
                below, cut, cut_to = more_below, longer_cut, common
                fans += len(self._parts(subtree)) - 1
                end += 1
            batch = tuple(subtree for _, subtree in left[start:end])
            apart = costs.apart if others or len(batch) < len(left) else 0.0
            if saved - cut > costs.forward + apart:
                forks.append(Fork(batch, cut_to))
            else:
                refused.extend(batch)
            start = end
        return forks, refused

    def _saving(self, depth: int, common: int, subtree: Subtree) -> float:
        """Tokens saved by sharing a subtree's prefix, without the cost of the forward pass itself."""
        costs = self._costs
        parts = len(self._parts(subtree))
        saving = (parts - 1) * (common - depth) - _ROW - PAST * (depth + parts * (common - depth))
        if costs.stepwise:
            longest = int(self._lengths[subtree.first : subtree.end].max())
            saving -= costs.forward * ((longest - common) + (common - depth if depth else 0))
        return saving

    def _worthwhile(self, saving: float) -> bool:
        """Whether so many tokens would pay for holding one prefix."""
        return saving > self._costs.forward + self._costs.apart

    def _forks_further(self, subtree: Subtree) -> bool:
        """Whether a branch of a subtree has branches of its own."""
        return subtree.end - subtree.first > len(self._parts(subtree))

    def _common(self, subtree: Subtree) -> int:
        return int(self._shared[subtree.first + 1 : subtree.end].min())

    def _below(self, depth: int, subtree: Subtree) -> float:
        """Distinct tokens of a subtree after `depth`."""
        first = subtree.first
        return float(self._lengths[first] - depth + self._sums[subtree.end] - self._sums[first + 1])

    def _parts(self, subtree: Subtree) -> Sequence[Subtree]:
        """The branches of a subtree where its paths first differ."""
        inner = self._shared[subtree.first + 1 : subtree.end]
        breaks = (np.flatnonzero(inner == inner.min()) + subtree.first + 1).tolist()
        edges = [subtree.first, *breaks, subtree.end]
        return [Subtree(a, b, subtree.row) for a, b in itertools.pairwise(edges)]
