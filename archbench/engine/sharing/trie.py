r"""Requests as a trie of tokens: every distinct prefix once, every distinct question about it once.

    requests                        paths                  scored on them
    ctx 1 2 3   continuation 4 5    1 2 3 4                4 after position 2, 5 after position 3
    ctx 1 2 3   continuation 7 8    1 2 3 7 (shares 3)     7 after position 2 (on the first path), 8
    ctx 1 2     continuation 3      -                      3 after position 1 (on the first path)

Paths are kept in the order of their tokens, so that a subtree is a range of neighbours and one number per
path, how many tokens it shares with the one before it, describes the whole trie.
"""

from __future__ import annotations

import bisect
from collections.abc import Sequence

import numpy as np

from archbench.engine.scoring.rows import IdPair, Ids, Target


class Trie:
    """A trie over the inputs of scoring requests.

    The input of a request is its context and its continuation but for the last token, which is only scored.

    Attributes:
        paths: Token ids of the inputs that are no prefix of another, in the order of their tokens.
        shared: For each path how many leading tokens it has in common with the path before it; 0 for the
            first.
        targets: For each path what is to be scored on it, by position. A target on tokens that several paths
            share belongs to the first of them.
        answers: For each request its targets, as (path, index into the path's targets).
        tokens_requested: Tokens of all inputs, each counted as often as it is requested.
    """

    def __init__(self, requests: Sequence[IdPair]) -> None:
        """Build the trie.

        Args:
            requests: Pairs of context ids and continuation ids, neither empty.
        """
        # Big-endian bytes sort as the tokens do, and compare at the speed of memcmp.
        keys = [_key((*context, *continuation[:-1])) for context, continuation in requests]
        self.tokens_requested = sum(map(len, keys)) // _WIDTH
        order = sorted(range(len(keys)), key=keys.__getitem__)
        home: list[int] = [0] * len(keys)
        paths: list[bytes] = []
        # From the back, so that a prefix meets the path that covers it before any shorter one.
        for index in reversed(order):
            if not paths or not paths[-1].startswith(keys[index]):
                paths.append(keys[index])
            home[index] = len(paths) - 1
        paths.reverse()
        self.paths: list[Ids] = [np.frombuffer(key, dtype=_CODE).astype(np.int64) for key in paths]
        self.shared: list[int] = [0] * len(paths)
        for i in range(1, len(paths)):
            self.shared[i] = _common(self.paths[i - 1], self.paths[i])

        wanted: list[list[int]] = [[] for _ in paths]
        for index, place in enumerate(home):
            wanted[len(paths) - 1 - place].append(index)
        places: list[dict[Target, int]] = [{} for _ in paths]
        self.answers: list[list[tuple[int, int]]] = [[] for _ in requests]
        # Ranges of positions and the path that owns each: positions from starts[k] on belong to owners[k].
        starts: list[int] = []
        owners: list[int] = []
        for i, indices in enumerate(wanted):
            while starts and starts[-1] >= self.shared[i]:
                starts.pop()
                owners.pop()
            starts.append(self.shared[i])
            owners.append(i)
            for index in indices:
                context, continuation = requests[index]
                for position, token in enumerate(continuation, start=len(context) - 1):
                    owner = owners[bisect.bisect_right(starts, position) - 1]
                    known = places[owner]
                    place = known.setdefault(Target(position, int(token)), len(known))
                    self.answers[index].append((owner, place))
        self.targets: list[list[Target]] = [list(known) for known in places]

    @property
    def distinct(self) -> int:
        """Nodes of the trie: the fewest tokens that could be forwarded."""
        return sum(map(len, self.paths)) - sum(self.shared)


_CODE = np.dtype(">u4")
_WIDTH = _CODE.itemsize


def _key(tokens: Sequence[int]) -> bytes:
    return np.asarray(tokens, dtype=_CODE).tobytes()


def _common(first: Ids, second: Ids) -> int:
    """Length of the longest common prefix of two different paths, neither a prefix of the other."""
    length = min(len(first), len(second))
    different = first[:length] != second[:length]
    return int(different.argmax()) if different.any() else length
