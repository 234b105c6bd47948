r"""Turn requests into the fewest rows to forward, and rows into batches that fit into memory.

    requests                        rows (an input once, however many ask about it)
    ctx 1 2 3   continuation 4 5    1 2 3 4    targets: 4 after position 2, 5 after position 3
    ctx 1 2 3 4 continuation 6    \__ same row  targets: 6 after position 3

This is the one place that knows requests and inputs; `forward` sees rows only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, TypeVar

import torch

from archbench.errors import RunError

T = TypeVar("T")
R = TypeVar("R")


class Target(NamedTuple):
    """A token to be scored as the one that follows a position.

    Attributes:
        position: Index into the row's tokens of the last token seen.
        token: Id of the token to score after it.
    """

    position: int
    token: int


class Row(NamedTuple):
    """One input to forward and what is asked about it.

    Attributes:
        tokens: Token ids of the input.
        targets: What to score, without duplicates.
        requests: For each request answered by this row, its index and its targets' indices.
    """

    tokens: tuple[int, ...]
    targets: tuple[Target, ...]
    requests: tuple[tuple[int, tuple[int, ...]], ...]


def plan_rows(requests: Sequence[tuple[Sequence[int], Sequence[int]]]) -> list[Row]:
    """Gather requests that share an input into one row each.

    The input of a request is its context and its continuation but for the last token, which is only
    scored. Requests that differ in that token alone (the letters of a multiple-choice question) and identical
    requests therefore cost one forward together.

    Args:
        requests: Pairs of context ids and continuation ids, neither empty.

    Returns:
        The rows, longest first (whatever runs out of memory does so at once); equally long ones in the
        order of their tokens, so that batches do not depend on the order of requests.
    """
    inputs: dict[tuple[int, ...], list[tuple[int, int]]] = {}
    for index, (context, continuation) in enumerate(requests):
        tokens = (*context, *continuation[:-1])
        inputs.setdefault(tokens, []).append((index, len(context) - 1))
    rows = []
    for tokens in sorted(inputs, key=lambda tokens: (-len(tokens), tokens)):
        place: dict[Target, int] = {}
        answers = []
        for index, start in inputs[tokens]:
            last = requests[index][1][-1]
            targets = [Target(position, tokens[position + 1]) for position in range(start, len(tokens) - 1)]
            targets.append(Target(len(tokens) - 1, last))
            answers.append((index, tuple(place.setdefault(target, len(place)) for target in targets)))
        rows.append(Row(tokens, tuple(place), tuple(answers)))
    return rows


class Budget:
    """How many padded tokens one forward pass may hold; halves itself when memory runs out.

    Attributes:
        tokens: The budget in force. A single item above it still runs, alone.
        backoffs: How often it was halved.
    """

    def __init__(self, tokens: int) -> None:
        self.tokens = tokens
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
