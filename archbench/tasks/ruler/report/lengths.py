"""Averages over lengths and the effective length, as published with RULER."""

from __future__ import annotations

from collections.abc import Mapping

THRESHOLD = 0.856
"""Average that an effective length must exceed: Llama-2-7B (chat) at 4K, as published with RULER."""


def length_weights(count: int, *, increasing: bool) -> list[float]:
    """Weights of lengths, from the shortest on, that sum to 1.

    In proportion to 1, 2, 3, ... for the paper's wAvg(inc), which stands for use that is mostly long, or to
    the reverse for wAvg(dec).
    """
    whole = count * (count + 1) / 2
    return [(at if increasing else count + 1 - at) / whole for at in range(1, count + 1)]


def effective_length(scores: Mapping[int, float], threshold: float = THRESHOLD) -> int | None:
    """The longest length whose score is above the threshold; None if there is none.

    Args:
        scores: Average score by length in tokens.
        threshold: What has to be exceeded.
    """
    return max((length for length, score in scores.items() if score > threshold), default=None)
