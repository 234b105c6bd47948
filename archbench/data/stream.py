"""One deterministic stream of token windows: the same batches, in the same order, for every member.

    shard 0                            shard 1
    ┌────────┬────────┬───┬────────┐   ┌────────┬── …
    │window 0│window 1│ … │window W│   │window W+1
    └────────┴────────┴───┴────────┘   └────────┴── …
     doc <|end|> doc <|end|> do|c …     doc <|end|> …

Documents are packed back to back; windows cut them where they end. Generated text is made shard by shard
(`TokenStream`): a shard is made from its own number alone, so that training resumes at any window without
making what came before, and a shard's end cuts its last document. Text that there is only so much of is read
from its beginning (`OrderedStream`): no token is lost between shards, and what was read is counted.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

Tokens = npt.NDArray[np.uint32]

WINDOWS_PER_SHARD = 512
"""How many windows are made at once."""

_DOCUMENTS_AT_A_TIME = 256
_CHARACTERS_AT_A_TIME = 2**22


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


class OrderedStream(Windows):
    """Windows of tokens over documents that are read from the first one on.

    To reach a window for the first time, all text before it is encoded once; to go back, again.
    """

    def __init__(
        self,
        documents: Callable[[], Iterator[Document]],
        encoding: Encoding,
        *,
        windows_per_shard: int = WINDOWS_PER_SHARD,
    ) -> None:
        """Describe the stream; nothing is read yet.

        Args:
            documents: All documents, from the first one on; each call begins anew.
            encoding: How they become windows.
            windows_per_shard: How many windows are made at once.
        """
        super().__init__(encoding.length, encoding.end, windows_per_shard)
        self._documents, self._encoding = documents, encoding
        self._before: list[Amounts] = [{}]  # what the shards before each shard hold
        self._ended_by = ""
        self._begin()

    def _begin(self) -> None:
        self._next = 0
        self._left: list[tuple[str, int, int, Sequence[int]]] = []
        self._reading = self._encoded()

    def _encoded(self) -> Iterator[tuple[str, int, int, Sequence[int]]]:
        """Source, epoch, bytes and tokens of each document, its end token included."""
        documents = iter(self._documents())
        more = True
        while more:
            batch: list[Document] = []
            size = 0
            while len(batch) < _DOCUMENTS_AT_A_TIME and size < _CHARACTERS_AT_A_TIME:
                try:
                    batch.append(next(documents))
                except (StopIteration, TextEndedError) as end:
                    self._ended_by = end.source if isinstance(end, TextEndedError) else ""
                    more = False
                    break
                size += len(batch[-1].text)
            if batch:
                encoded = self._encoding.encode([one.text for one in batch])
                for one, ids in zip(batch, encoded, strict=True):
                    yield one.source, one.epoch, len(one.text.encode()), [*ids, self.end]

    def _make_shard(self, number: int) -> Tokens:
        if number < self._next:
            self._begin()
        while True:
            shard, pieces = self._following()
            if self._next > number:
                self._pieces = number, pieces
                return shard

    def _following(self) -> tuple[Tokens, list[tuple[str, int, int, int]]]:
        """The next shard, and of its documents source, epoch, bytes (-1 where begun before) and tokens."""
        wanted = self._per_shard * self.length
        ids: list[int] = []
        pieces = []
        while len(ids) < wanted:
            one = self._left.pop() if self._left else next(self._reading, None)
            if one is None:
                break
            source, epoch, size, tokens = one
            here = tokens[: wanted - len(ids)]
            ids.extend(here)
            pieces.append((source, epoch, size, len(here)))
            if len(here) < len(tokens):
                self._left.append((source, epoch, -1, tokens[len(here) :]))
        whole = len(ids) // self.length
        if self._next + 1 == len(self._before):
            self._before.append(_sum(self._before[-1], pieces, len(ids)))
        self._next += 1
        return np.array(ids[: whole * self.length], dtype=np.uint32).reshape(whole, self.length), pieces

    def _ended(self) -> None:
        raise TextEndedError(self._ended_by)

    def amounts(self, windows: int) -> Amounts:
        """What the first windows hold, by source: every document that begins in them, every token in them."""
        shard, offset = divmod(windows, self._per_shard)
        if not offset:
            while len(self._before) <= shard:
                self._shard(len(self._before) - 1)
            return self._before[shard]
        self._shard.cache_clear()
        self._shard(shard)
        return _sum(self._before[shard], self._pieces[1], offset * self.length)

    def length_of_all(self) -> int:
        """How many windows there are, which reads all of the text; it must end."""
        found = 0
        for shard in range(2**40):
            here = len(self._shard(shard))
            found += here
            if here < self._per_shard:
                break
        return found


def _sum(before: Amounts, pieces: list[tuple[str, int, int, int]], tokens: int) -> Amounts:
    """Add the pieces that the first tokens hold to what was read before."""
    found = {name: amount.plus(Amount()) for name, amount in before.items()}
    for source, epoch, size, length in pieces:
        if tokens <= 0:
            break
        begins = size >= 0
        here = Amount(int(begins), max(size, 0), min(length, tokens), epoch + 1)
        found[source] = found.get(source, Amount()).plus(here)
        tokens -= length
    return found
