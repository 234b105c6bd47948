"""What an LM has done so far, and reporting it while it works."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple, TypeVar

Report = Callable[[int, int], object]
"""Called with (requests done, requests in all)."""

T = TypeVar("T")


class Usage(NamedTuple):
    """Work done by an LM since it was made.

    Attributes:
        requests: Requests answered.
        requests_known: Those (windows of long texts each by itself) whose answer was in a store; their tokens
            are in none of the other counts.
        pairs: Contexts and continuations among the requests.
        pairs_spanned: Those of them where a token spans the border of context and continuation.
        tokens_requested: Tokens that answering every request on its own would have forwarded.
        tokens_distinct: Tokens left when every prefix that requests share is counted once.
        tokens_forwarded: Tokens that were forwarded.
        tokens_padded: Padding tokens forwarded with them.
        batches: Forward passes for scores and shared prefixes, and batches of generations.
        passes: Forward passes of the model, those of every generated token among them.
        prefixes_refused: Prefixes worth holding that were not held for want of memory (`cache_bytes`).
        backoffs: Times that a batch ran out of memory and was halved.
        seconds: Wall-clock time spent answering, tokenisation included.
    """

    requests: int = 0
    requests_known: int = 0
    pairs: int = 0
    pairs_spanned: int = 0
    tokens_requested: int = 0
    tokens_distinct: int = 0
    tokens_forwarded: int = 0
    tokens_padded: int = 0
    batches: int = 0
    passes: int = 0
    prefixes_refused: int = 0
    backoffs: int = 0
    seconds: float = 0.0

    def plus(self, **counts: float) -> Usage:
        """A snapshot with these counts added."""
        return self._replace(**{name: getattr(self, name) + count for name, count in counts.items()})

    def since(self, earlier: Usage) -> Usage:
        """What was done between an earlier snapshot and this one."""
        return Usage(*(now - then for now, then in zip(self, earlier, strict=True)))  # type: ignore[arg-type]


class Meter:
    """Adds up the work of an LM.

    Attributes:
        usage: A snapshot of the work done so far.
    """

    def __init__(self) -> None:
        """Nothing is done yet."""
        self.usage = Usage()

    def count(self, **counts: float) -> None:
        """Add what has just been done, by the names of `Usage`: `count(batches=1, tokens_forwarded=512)`."""
        self.usage = self.usage.plus(**counts)

    @contextlib.contextmanager
    def clock(self) -> Iterator[None]:
        """Add the time spent inside, whatever comes of it."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.count(seconds=time.perf_counter() - start)


@contextlib.contextmanager
def reporting(progress: bool | Report, description: str) -> Iterator[Report]:
    """Whom to report to: nobody (False), a bar on stderr (True) or the callable given."""
    if progress is False:
        yield lambda done, total: None
    elif progress is True:
        from rich.console import Console
        from rich.progress import Progress

        with Progress(console=Console(stderr=True)) as bar:
            task = bar.add_task(description)
            yield lambda done, total: bar.update(task, completed=done, total=total)
    else:
        yield progress


def collect(batches: Iterable[Mapping[int, T]], total: int, report: Report) -> list[T]:
    """All answers in order, reported as they come.

    Args:
        batches: Finished answers by the index of their request; each request once.
        total: Number of requests.
        report: Called after every batch.
    """
    answers: dict[int, T] = {}
    for finished in batches:
        answers |= finished
        report(len(answers), total)
    return [answers[index] for index in range(total)]
