"""Texts of a given length in tokens: counting as the engine does, fitting, and what such entries share."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic import Field

from archbench.checkpoint import tokenizer_files
from archbench.errors import RequestError
from archbench.hub import snapshot
from archbench.models.tokenizer import tokenizer_identity
from archbench.random_tokens import without_sampling
from archbench.schema import Address, Seed
from archbench.tasks.entry import Context, TaskEntry
from archbench.tokens import Encoder


class GeneratedEntry(TaskEntry):
    """An entry whose items are drawn from a seed, some of them to a length in tokens.

    Attributes:
        seed: Seed of the items; the suite's where absent.
        tokenizer: Folder or hub id of the tokenizer that lengths are counted with. Where absent, the one that
            all members of the run share: the text of an item is the same for every member, so members with
            different tokenizers need one of them named.
    """

    NEEDS_MEMBERS: ClassVar[bool] = True

    seed: Seed | None = None
    tokenizer: Address | None = Field(default=None, min_length=1)

    @property
    @abstractmethod
    def counts_tokens(self) -> bool:
        """Whether the items depend on a tokenizer."""

    @property
    def ready(self) -> bool:
        """Whether the tokenizer is known, where one is needed."""
        return self.tokenizer is not None or not self.counts_tokens

    def resolve(self, context: Context) -> Self:
        """The entry with its seed and tokenizer written out: its own, else the suite's and the members'.

        The tokenizer stays open where a hub model has not been fetched, as it may be where a plan is shown.
        """
        update: dict[str, Any] = {"seed": context.seed if self.seed is None else self.seed}
        if self.tokenizer is not None:
            update["tokenizer"] = str(context.find(self.tokenizer) or self.tokenizer)
        elif self.counts_tokens:
            update["tokenizer"] = context.tokenizer()
        return self.model_copy(update=update)

    def tokenizer_digest(self) -> str | None:
        """Digest of how the tokenizer encodes, for `digest`; its hub id where it has not been fetched.

        None where none is used.

        Raises:
            RequestError: It names files outside of its folder.
        """
        if not self.counts_tokens or self.tokenizer is None:
            return None
        folder = Path(self.tokenizer)
        if not folder.is_dir():
            try:
                folder = snapshot(self.tokenizer, weights=False, download=False)
            except (OSError, ValueError):
                return self.tokenizer
        return tokenizer_identity(folder).encoding if tokenizer_files(folder) else self.tokenizer


class TokenCounter:
    """Counts tokens as the engine feeds them to a model: special tokens before a text, none behind it."""

    def __init__(self, tokenizer: Any) -> None:
        """Wrap a transformers tokenizer.

        Raises:
            RequestError: It adds special tokens irregularly.
        """
        self._encoder = Encoder(tokenizer)

    def __call__(self, text: str) -> int:
        """Tokens of a whole prompt."""
        return self._encoder.lengths([text])[0]

    def tokens_after(self, context: str, text: str) -> int | None:
        """Tokens of a text, if they are the same after a context as alone; None where they are not."""
        before, alone, whole = self._encoder.plain([context, text, context + text])
        return len(alone) if whole == [*before, *alone] else None

    def pieces(self, texts: Sequence[str]) -> list[int]:
        """Tokens of parts of a prompt, each encoded alone and without special tokens.

        Their sum is an estimate of the whole's length, good to a few tokens where parts end at line breaks.
        """
        return self._encoder.lengths(texts, plain=True)


@lru_cache(maxsize=4)
def token_counter(source: str) -> TokenCounter:
    """Load a tokenizer to count with; nothing from it is run.

    Args:
        source: Folder or hub id.

    Raises:
        RequestError: There is no tokenizer.
    """
    from transformers import AutoTokenizer

    folder = Path(source)
    try:
        if not folder.is_dir():
            folder = snapshot(source, weights=False)
        # Refuses one whose files lie elsewhere.
        tokenizer_files(folder)
        tokenizer = AutoTokenizer.from_pretrained(str(folder), trust_remote_code=False)
        return TokenCounter(without_sampling(tokenizer))
    except RequestError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise RequestError(
            f"The tokenizer '{source}', with which lengths are to be counted, cannot be loaded "
            f"({type(error).__name__}: {reason}). Name a folder with tokenizer.json, or a hub id."
        ) from error


def required_counter(tokenizer: str | None, task: str) -> TokenCounter:
    """The counter for a task whose lengths are given in tokens.

    Raises:
        RequestError: No tokenizer is named, or it cannot be loaded.
    """
    if tokenizer is None:
        raise RequestError(
            f"{task}: lengths in tokens need a tokenizer to count with. Name one with `tokenizer`, in a "
            'suite under the entry, with plain lm-eval as --metadata \'{"tokenizer": "<folder or hub id>"}\'.'
        )
    return token_counter(tokenizer)


def largest_fit(
    length: Callable[[int], int], *, target: int, low: int, high: int, guess: int, slack: int = 0
) -> int | None:
    """Find the largest size whose text is no longer than a target.

    Interpolation with bisection in every other step, so that at most `2 log2(high - low)` texts are
    made, whatever the lengths are.

    Args:
        length: Length of the text of a size; should grow with it.
        target: Length that must not be exceeded.
        low: Smallest size.
        high: Largest size.
        guess: Size to try first.
        slack: How far below the target is near enough to stop.

    Returns:
        A size whose length has been found to be within the target; None if that of `low` is not.
    """
    fits, fitting, above, exceeding = low - 1, 0, high + 1, 0
    size, step = guess, 0
    while above - fits > 1:
        size = min(max(size, fits + 1), above - 1)
        found = length(size)
        if found <= target:
            fits, fitting = size, found
            if target - found <= slack:
                break
        else:
            above, exceeding = size, found
        step += 1
        if step % 2 == 0:
            size = (fits + above) // 2
        elif fits >= low and exceeding:
            size = fits + (target - fitting) * (above - fits) // (exceeding - fitting)
        else:
            # One end is known: assume that length is in proportion to size.
            size = size * target // max(found, 1)
    return fits if fits >= low else None
