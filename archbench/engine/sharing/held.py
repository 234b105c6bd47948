"""States of shared prefixes while they are needed, within a bound of memory."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from typing import TYPE_CHECKING

from archbench.engine.cache.states import size

if TYPE_CHECKING:
    from transformers import DynamicCache


class Held:
    """State of some rows after the same number of tokens; computed again if it had to be thrown away.

    Attributes:
        paths: For each row a path that it is a prefix of.
        depth: The number of tokens.
        cache: The state, None where it was thrown away.
        chain: Bytes of the state and of those that it was computed from.
    """

    def __init__(self, paths: Sequence[int], depth: int, cache: DynamicCache, before: int = 0) -> None:
        """Hold a state that was computed from others of `before` bytes."""
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
