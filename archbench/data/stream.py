"""One deterministic stream of token windows: the same batches, in the same order, for every member.

    shard 0                            shard 1
    ┌────────┬────────┬───┬────────┐   ┌────────┬── …
    │window 0│window 1│ … │window W│   │window W+1
    └────────┴────────┴───┴────────┘   └────────┴── …
     doc <|end|> doc <|end|> do|c …     doc <|end|> …

A shard is made from its own number alone, so that training resumes at any window without making what came
before. Documents are packed back to back; windows cut them where they end, and so does a shard's end.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

Tokens = npt.NDArray[np.uint32]

WINDOWS_PER_SHARD = 512
"""How many windows are made at once."""

_DOCUMENTS_AT_A_TIME = 256


class TokenStream:
    """Endless windows of tokens over generated documents.

    Attributes:
        length: Tokens in a window.
        end: Id that closes each document.
    """

    def __init__(
        self,
        document: Callable[[int, int], str],
        encode: Callable[[list[str]], Sequence[Sequence[int]]],
        *,
        end: int,
        length: int,
        windows_per_shard: int = WINDOWS_PER_SHARD,
    ) -> None:
        """Describe the stream; nothing is generated yet.

        Args:
            document: Text of a document by (shard, number within the shard).
            encode: Token ids of several texts.
            end: Id put after each document.
            length: Tokens in a window.
            windows_per_shard: How many windows are made at once.
        """
        self.length, self.end = length, end
        self._document, self._encode = document, encode
        self._per_shard = windows_per_shard
        self._shard = lru_cache(maxsize=2)(self._make_shard)

    def _make_shard(self, number: int) -> Tokens:
        wanted = self._per_shard * self.length
        ids: list[int] = []
        first = 0
        while len(ids) < wanted:
            texts = [self._document(number, first + i) for i in range(_DOCUMENTS_AT_A_TIME)]
            for tokens in self._encode(texts):
                ids.extend(tokens)
                ids.append(self.end)
            first += _DOCUMENTS_AT_A_TIME
        return np.array(ids[:wanted], dtype=np.uint32).reshape(self._per_shard, self.length)

    def windows(self, start: int, count: int) -> Tokens:
        """Windows `start` … `start + count - 1`, shape [count, length]."""
        parts = []
        while count:
            shard, offset = divmod(start, self._per_shard)
            part = self._shard(shard)[offset : offset + count]
            parts.append(part)
            start, count = start + len(part), count - len(part)
        return np.concatenate(parts)
