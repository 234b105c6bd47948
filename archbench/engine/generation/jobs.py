"""What is to be generated, and what was."""

from __future__ import annotations

from typing import Any, NamedTuple


class Job(NamedTuple):
    """One generation to make.

    Attributes:
        prompt: Token ids of the prompt.
        max_new: At most this many new tokens.
        stop: Strings that end it.
        options: Sampling settings as (name, value) pairs.
        seed: Seed of a sampled generation, None for a greedy one.
        skip_white_space: Whether stop strings count only from the first character on that is not white space.
    """

    prompt: tuple[int, ...]
    max_new: int
    stop: tuple[str, ...]
    options: tuple[tuple[str, Any], ...]
    seed: int | None
    skip_white_space: bool = False


class Generated(NamedTuple):
    """One generation.

    Attributes:
        text: The new text, special tokens left out; it may still hold a stop string.
        tokens: How many tokens were generated, up to and including the one that stopped it.
    """

    text: str
    tokens: int
