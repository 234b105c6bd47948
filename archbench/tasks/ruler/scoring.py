"""How an answer is scored: as published, but as a fraction instead of percent."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from archbench.answers import first_line, form_of

# What references may be besides numbers, the narrowest first: UUIDs, names of variables, words. A single
# letter, as a short number, may count the lines of a list.
_KINDS = (r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", r"[A-Z]{3,5}", r"[A-Za-z]{2,}")
_ARTICLES = {"a", "an", "the"}


def string_match_all(response: str, answers: Sequence[str]) -> float:
    """Share of the answers that are in the response, in any case and any order."""
    return sum(answer.lower() in response.lower() for answer in answers) / len(answers)


def string_match_part(response: str, answers: Sequence[str]) -> float:
    """1 if any of the answers is in the response, in any case; else 0."""
    return float(any(answer.lower() in response.lower() for answer in answers))


def in_line(response: str, answers: Sequence[str]) -> float:
    """Share of the answers that stand in the response's first line, in any case and any order."""
    return string_match_all(first_line(response), answers)


def first_in_line(response: str, answers: Sequence[str]) -> float:
    """Share of the answers that are among the first of their kind in the response's first line.

    Where three numbers are wanted, those among the first three numbers there count; where three words are,
    those among the first three words.
    """
    found = [one.lower() for one in re.findall(_kind(answers), first_line(response))][: len(answers)]
    return sum(answer.lower() in found for answer in answers) / len(answers)


def begins_line(response: str, answers: Sequence[str]) -> float:
    """1 if the response's first line begins with any of the answers, articles and punctuation aside."""
    words_given = _words(first_line(response))
    return float(any(words_given[: len(words)] == words for words in map(_words, answers) if words))


def answer_form(doc: Mapping[str, Any], response: str) -> str:
    """Whether a response holds anything of the kind wanted (`archbench.answers.FORMS`)."""
    kind = r"\w" if doc["part"] else _kind(doc["answers"])
    return form_of(response, of_the_kind=bool(re.search(kind, response)))


def process_results(doc: Mapping[str, Any], results: Sequence[str]) -> dict[str, float]:
    """Scores of a response, each from 0 to 1; lm-eval calls it.

    Returns:
        `string_match`, the task's own: `string_match_part` for question answering, else `string_match_all`;
        and both of them; `in_line` and `first_in_line`, for question answering whether any reference stands
        in the first line and whether one begins it.
    """
    line, first = in_line(results[0], doc["answers"]), first_in_line(results[0], doc["answers"])
    if doc["part"]:
        line = string_match_part(first_line(results[0]), doc["answers"])
        first = begins_line(results[0], doc["answers"])
    every = string_match_all(results[0], doc["answers"])
    part = string_match_part(results[0], doc["answers"])
    return {
        "string_match": part if doc["part"] else every,
        "string_match_all": every,
        "string_match_part": part,
        "in_line": line,
        "first_in_line": first,
    }


def _kind(answers: Sequence[str]) -> str:
    """Pattern of all that is of the answers' kind; of numbers, those with as many digits."""
    if all(answer.isdecimal() for answer in answers):
        lengths = [len(answer) for answer in answers]
        return rf"(?<!\d)\d{{{min(lengths)},{max(lengths)}}}(?!\d)"
    alike = (kind for kind in _KINDS if all(re.fullmatch(kind, answer) for answer in answers))
    kind = next(alike, r"\S+")
    return rf"(?<!\w)(?:{kind})(?!\w)"


def _words(text: str) -> list[str]:
    words = re.findall(r"\w+", text.lower())
    return words[1:] if words[:1] and words[0] in _ARTICLES else words
