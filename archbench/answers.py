"""What counts as the answer in a generated text, for the engine, other backends and plain lm-eval alike."""

from __future__ import annotations

from collections.abc import Sequence

SKIP = "skip_white_space"
"""Generation setting of a request: white space before the answer is no part of it and ends nothing."""

FORMS = ("answer", "other", "empty")
"""What `answer_form` of an item row may say: something of the requested kind, something else, or nothing."""


def answer_of(text: str, stop: Sequence[str], *, skip_white_space: bool) -> str:
    """The answer in a generated text: what stands before the first stop string.

    Args:
        text: The text that was generated.
        stop: Stop strings; empty ones do not count.
        skip_white_space: Whether the answer begins at the first character that is not white space, and stop
            strings count from there on only. Otherwise as lm-eval has it: a text that begins with a stop
            string is no answer.
    """
    text = text.lstrip() if skip_white_space else text
    for one in stop:
        if one:
            text = text.split(one, 1)[0]
    return text


def first_line(text: str) -> str:
    """The first line of a text that holds more than white space, without white space around it."""
    return text.strip().split("\n", 1)[0].rstrip()


def form_of(text: str, *, of_the_kind: bool) -> str:
    """What an answer is, one of `FORMS`.

    Args:
        text: The answer.
        of_the_kind: Whether something of the requested kind (a number, a label) stands in it.
    """
    if not text.strip():
        return "empty"
    return "answer" if of_the_kind else "other"
