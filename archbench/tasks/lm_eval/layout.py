"""Where a multiple-choice prompt shows its options, and how it begins its answer, read from the text alone.

lm-eval's tasks make each prompt as one text, so the parts that may be changed have to be found in it. An
option is recognised by its label and by its text, which must be one that the document holds: a line of a
question that only looks like an option is never taken for one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

LABELS = ("ABCDEFGHI", "abcdefghi", "123456789")
"""Labels of options; prompts with more than nine options are not read."""

_ENDS = (". ", ") ", ": ")
_BEGINNING = re.compile(r"(?:^|(?<=\s))(?:[Aa]nswer|ANSWER|A):$")


@dataclass(frozen=True)
class Options:
    """A prompt that shows labelled options, taken apart; `str()` puts it together again.

    Attributes:
        before: The text before the first label.
        labels: The labels, such as `A`.
        end: What stands between a label and its option, such as `. `.
        texts: The options.
        joints: What stands between an option and the next label, such as a line break; one fewer.
        after: The text after the last option.
    """

    before: str
    labels: tuple[str, ...]
    end: str
    texts: tuple[str, ...]
    joints: tuple[str, ...]
    after: str

    def __str__(self) -> str:
        rows = zip(self.labels, self.texts, (*self.joints, self.after), strict=True)
        return self.before + "".join(f"{label}{self.end}{text}{joint}" for label, text, joint in rows)

    @property
    def in_parentheses(self) -> bool:
        """Whether labels stand between two parentheses: `(A) text`."""
        return self.end == ") " and self.before.endswith("(")

    def moved(self) -> Options:
        """Options one place further on, the last one first; labels stay where they are."""
        return replace(self, texts=self.texts[-1:] + self.texts[:-1])

    def relabelled(self) -> Options:
        """Numbers instead of letters; letters instead of numbers."""
        return replace(self, labels=tuple(map(other_label, self.labels)))

    def ended_otherwise(self) -> Options:
        """`A) text` instead of `A. text` and of `A: text`; `A. text` instead of `A) text`."""
        return replace(self, end=". " if self.end == ") " else ") ")


def other_label(label: str) -> str:
    """`1` for `A` and `a`, `2` for `B` and `b`, ...; `A` for `1`."""
    place = next(names.index(label) for names in LABELS if label in names)
    return LABELS[0 if label in LABELS[2] else 2][place]


def bare_labels(choices: Sequence[str]) -> tuple[str, ...] | None:
    """The labels that the choices are, without spaces and punctuation; None where they are anything else."""
    bare = tuple(re.sub(r"[\s().:]", "", choice) for choice in choices)
    return bare if any(bare == tuple(names[: len(bare)]) for names in LABELS) else None


def find_options(text: str, choices: Sequence[str], doc: Any) -> Options | None:
    """Find the labelled options that a prompt shows.

    Args:
        text: The prompt of one document.
        choices: What is scored: the labels, or the options' texts.
        doc: The document, which must hold every option's text.

    Returns:
        The prompt, taken apart; None where it does not show as many options as there are choices, one after
        another under `A. `, `A) `, `A: `, `(A) ` or the like.
    """
    scored = bare_labels(choices)
    if not 2 <= len(choices) <= len(LABELS[0]):
        return None
    # The longest first, so that an option is not taken for the beginning of itself.
    held = {form for one in [*_texts(doc), *choices] for form in (one, one.strip()) if form}
    known = sorted(held, key=lambda one: (-len(one), one))
    for names in [scored] if scored else [tuple(names[: len(choices)]) for names in LABELS]:
        for end in _ENDS:
            first = re.escape(names[0] + end)
            # A question may itself have parts A and B: the options come last, preferably as a list.
            for where in (r"(?m)^\(?", r"(?<=\s)\(?"):
                for match in reversed(list(re.finditer(where + first, text))):
                    start = match.end() - len(names[0] + end)
                    if (found := _follow(text, start, names, end, known)) is not None:
                        return found
    return None


def beginning(text: str) -> str | None:
    """How a prompt begins its answer where it ends in `Answer:` or `A:`; None where it does not."""
    found = _BEGINNING.search(text)
    return found[0] if found else None


def begun_otherwise(text: str, old: str, new: str) -> str:
    """A prompt with another beginning of its answer, and of earlier answers that begin a line."""
    head = re.sub(rf"(?m)^{re.escape(old)}(?= )", new, text.removesuffix(old))
    return head + new


def _follow(text: str, start: int, labels: Sequence[str], end: str, known: Sequence[str]) -> Options | None:
    """The options that begin at a place, where all follow one another there."""
    at, texts, joints = start, [], []
    for place, label in enumerate(labels):
        at += len(label + end)
        is_last = place == len(labels) - 1
        following = "" if is_last else re.escape(labels[place + 1] + end)
        joint = re.compile(rf"[,;]?\s+\(?(?={following})" if following else r"(?=\s|\Z)")
        for option in known:
            if text.startswith(option, at) and (found := joint.match(text, at + len(option))):
                texts.append(option)
                joints.append(found[0])
                at = found.end()
                break
        else:
            return None
    return Options(text[:start], tuple(labels), end, tuple(texts), tuple(joints[:-1]), text[at:])


def _texts(value: Any) -> Iterator[str]:
    """All texts and numbers in a document."""
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list | tuple):
        for one in value:
            yield from _texts(one)
    elif value is not None:
        yield str(value)
