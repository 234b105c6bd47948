"""One deterministic stream of token windows: the same batches, in the same order, for every member.

    shard 0                            shard 1
    ┌────────┬────────┬───┬────────┐   ┌────────┬── …
    │window 0│window 1│ … │window W│   │window W+1
    └────────┴────────┴───┴────────┘   └────────┴── …
     doc <|end|> doc <|end|> do|c …     doc <|end|> …

Documents are packed back to back; windows cut them where they end. Generated text is made shard by shard
(`TokenStream`): a shard is made from its own number alone, so that training resumes at any window without
making what came before, and a shard's end cuts its last document. Text that there is only so much of is read
from its beginning (`archbench.data.ordered`): no token is lost between shards, and what was read is counted.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

Tokens = npt.NDArray[np.uint32]

WINDOWS_PER_SHARD = 512
"""How many windows are made at once."""

_DOCUMENTS_AT_A_TIME = 256


@dataclass(frozen=True)
class Document:
    """A document of a corpus.

    Attributes:
        text: What it says.
        source: The corpus it is from, or the part of a mix.
        epoch: How many times this corpus had been read to its end before.
    """

    text: str
    source: str
    epoch: int = 0


class TextEndedError(Exception):
    """A corpus has no more text, or must not begin anew.

    Attributes:
        source: Which one.
    """

    def __init__(self, source: str) -> None:
        """Name the corpus, or the part of a mix."""
        super().__init__(f"the text of '{source}' has ended")
        self.source = source


@dataclass(frozen=True)
class Encoding:
    """How documents become windows.

    Attributes:
        encode: Token ids of several texts.
        end: Id put after each document.
        length: Tokens in a window.
    """

    encode: Callable[[list[str]], Sequence[Sequence[int]]]
    end: int
    length: int


@dataclass
class Amount:
    """How much was read of a corpus, or of a part of a mix.

    Attributes:
        documents: Documents begun.
        bytes: Of their text, in UTF-8.
        tokens: Tokens, those between documents included.
        epochs: How many times it was begun.
    """

    documents: int = 0
    bytes: int = 0
    tokens: int = 0
    epochs: int = 0

    def plus(self, other: Amount) -> Amount:
        """What was read here, and then there."""
        return Amount(
            self.documents + other.documents,
            self.bytes + other.bytes,
            self.tokens + other.tokens,
            max(self.epochs, other.epochs),
        )


Amounts = dict[str, Amount]
"""What was read, by source."""


class Windows(ABC):
    """Windows of tokens.

    Attributes:
        length: Tokens in a window.
        end: Id that closes each document.
    """

    def __init__(self, length: int, end: int, windows_per_shard: int) -> None:
        """Describe the stream; nothing is read yet."""
        self.length, self.end = length, end
        self._per_shard = windows_per_shard
        self._shard = lru_cache(maxsize=2)(self._make_shard)

    @abstractmethod
    def _make_shard(self, number: int) -> Tokens:
        """All windows of a shard, shape [windows, length]."""

    def windows(self, start: int, count: int) -> Tokens:
        """Windows `start` … `start + count - 1`, shape [count, length].

        Raises:
            TextEndedError: There are not so many.
        """
        parts = []
        while count:
            shard, offset = divmod(start, self._per_shard)
            part = self._shard(shard)[offset : offset + count]
            if not len(part):
                self._ended()
            parts.append(part)
            start, count = start + len(part), count - len(part)
        return np.concatenate(parts)

    def _ended(self) -> None:
        raise TextEndedError("")

    def amounts(self, windows: int) -> Amounts:
        """What the first windows hold, by source; nothing where that is not counted."""
        return {}


class TokenStream(Windows):
    """Endless windows of tokens over generated documents, each shard made alone."""

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
        super().__init__(length, end, windows_per_shard)
        self._document, self._encode = document, encode

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
