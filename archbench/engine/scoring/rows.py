"""Rows of tokens and what is to be scored on them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.int64]

IdPair = tuple[Sequence[int], Sequence[int]]
"""Ids of a context and of its continuation, neither empty."""

Answer = tuple[float, bool]
"""Log-likelihood (nats) of a continuation, and whether every one of its tokens is the greedy one."""


class Target(NamedTuple):
    """A token to be scored as the one that follows a position.

    Attributes:
        position: Index into a path's tokens of the last token seen.
        token: Id of the token to score after it.
    """

    position: int
    token: int


class Segment(NamedTuple):
    """Tokens to feed and what to score on them.

    Attributes:
        tokens: Token ids.
        targets: What to score; positions count from the segment's first token.
    """

    tokens: Ids
    targets: Sequence[Target]


class Score(NamedTuple):
    """A model's prediction of one target.

    Attributes:
        logprob: Natural log of its probability, computed in float32.
        greedy: Whether no other token is more likely (of equally likely ones, the first counts).
    """

    logprob: float
    greedy: bool
