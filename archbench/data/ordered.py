"""Windows of tokens over text that is read from its first document on, with an account of what was read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from archbench.data.stream import (
    WINDOWS_PER_SHARD,
    Amount,
    Amounts,
    Document,
    Encoding,
    TextEndedError,
    Tokens,
    Windows,
)

_DOCUMENTS_AT_A_TIME = 256
_CHARACTERS_AT_A_TIME = 2**22


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
