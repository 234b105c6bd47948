"""Seeded draws that give the same result on every machine and in every order.

Everything random in archbench's data comes from a `Draw` made for one thing alone, such as
`Draw(seed, "phonebook", length, index)`: no global state, no dependence on what was drawn before.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


class Draw:
    """A stream of draws that is a function of its key alone.

    Built on `random.Random.random` only, the one method whose sequence Python promises to keep between
    versions; `choice`, `shuffle` and `sample` of the standard library carry no such promise.
    """

    def __init__(self, *key: str | int) -> None:
        """Start the stream of `key`, for instance (seed, task, length, index)."""
        self._random = random.Random("/".join(map(str, key))).random

    def below(self, n: int) -> int:
        """Return an integer in [0, n)."""
        return int(self._random() * n)

    def uniform(self) -> float:
        """Return a float in [0, 1)."""
        return self._random()

    def pick(self, items: Sequence[T]) -> T:
        """Return one of the items."""
        return items[int(self._random() * len(items))]

    def sample(self, items: Sequence[T], k: int) -> list[T]:
        """Return `k` different positions' items in random order.

        Raises:
            ValueError: there are fewer than `k` items.
        """
        if k > len(items):
            raise ValueError(f"cannot draw {k} of {len(items)} items")
        pool = list(items)
        for i in range(k):
            j = i + int(self._random() * (len(pool) - i))
            pool[i], pool[j] = pool[j], pool[i]
        return pool[:k]

    def shuffled(self, items: Sequence[T]) -> list[T]:
        """Return all items in random order."""
        return self.sample(items, len(items))
