"""Work in batches that fit into memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import torch

from archbench.errors import RunError

T = TypeVar("T")
R = TypeVar("R")


class Budget:
    """Memory of the work: padded tokens of one forward pass, halved when memory runs out, and held states.

    Attributes:
        tokens: The tokens in force. A single item above them still runs, alone.
        cache_bytes: Memory that states of shared prefixes may take; 0 shares none.
        backoffs: How often the tokens were halved.
    """

    def __init__(self, tokens: int, cache_bytes: int) -> None:
        """Begin with so many tokens."""
        self.tokens = tokens
        self.cache_bytes = cache_bytes
        self.backoffs = 0

    def run(
        self, items: Sequence[T], cost: Callable[[T], int], work: Callable[[Sequence[T]], R]
    ) -> Iterator[tuple[Sequence[T], R]]:
        """Work through items in batches whose padded size is within the budget.

        Args:
            items: What to work on, most costly first.
            cost: Tokens that an item takes up; a batch takes its size times its largest cost.
            work: Called with each batch.

        Yields:
            Each batch with the result of its work.

        Raises:
            RunError: A single item ran out of memory.
        """
        start = 0
        while start < len(items):
            batch = self._take(items, start, cost)
            try:
                result: R | None = work(batch)
                exhausted = False
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                exhausted = True
            # Only here, where the exception and the tensors in its frames are gone, can memory be freed.
            if not exhausted:
                yield batch, result  # type: ignore[misc]
                start += len(batch)
                continue
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
            widest = max(map(cost, batch))
            if len(batch) == 1:
                raise RunError(
                    f"Memory ran out on a single input that takes up {widest} tokens. Use a device with more "
                    "memory, a smaller dtype, or a smaller max_length."
                )
            self.backoffs += 1
            self.tokens = max(1, len(batch) // 2 * widest)

    def _take(self, items: Sequence[T], start: int, cost: Callable[[T], int]) -> Sequence[T]:
        widest = cost(items[start])
        end = start + 1
        while end < len(items):
            widest = max(widest, cost(items[end]))
            if widest * (end + 1 - start) > self.tokens:
                break
            end += 1
        return items[start:end]


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception means that memory ran out, on any device."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    # The CPU allocator, cuBLAS and MPS raise plain RuntimeErrors.
    signs = ("out of memory", "can't allocate memory", "CUBLAS_STATUS_ALLOC_FAILED")
    return isinstance(error, RuntimeError) and any(sign in str(error) for sign in signs)
