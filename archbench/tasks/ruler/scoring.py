"""How answers are scored, per item and over lengths; as published, but as fractions instead of percent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

THRESHOLD = 0.856
"""Average that an effective length must exceed: Llama-2-7B (chat) at 4K, as published with RULER."""


def string_match_all(response: str, answers: Sequence[str]) -> float:
    """Share of the answers that are in the response, in any case and any order."""
    return sum(answer.lower() in response.lower() for answer in answers) / len(answers)


def string_match_part(response: str, answers: Sequence[str]) -> float:
    """1 if any of the answers is in the response, in any case; else 0."""
    return float(any(answer.lower() in response.lower() for answer in answers))


def process_results(doc: Mapping[str, Any], results: Sequence[str]) -> dict[str, float]:
    """Scores of a response, each from 0 to 1; lm-eval calls it.

    Returns:
        `string_match`, the task's own: `string_match_part` for question answering, else `string_match_all`;
        and both of them.
    """
    every = string_match_all(results[0], doc["answers"])
    part = string_match_part(results[0], doc["answers"])
    return {
        "string_match": part if doc["part"] else every,
        "string_match_all": every,
        "string_match_part": part,
    }


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
