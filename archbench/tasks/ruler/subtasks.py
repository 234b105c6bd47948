"""The thirteen tasks: the published parameters of each, and what makes its items."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

from archbench.errors import RequestError, amount
from archbench.identity import content_digest
from archbench.tasks.files.names import read_names
from archbench.tasks.lengths import TokenCounter
from archbench.tasks.ruler.counting import COUNTS, FULL_LENGTH, CommonWords, FrequentWords
from archbench.tasks.ruler.fitting import Maker, Subtask, check_items, ruler_items
from archbench.tasks.ruler.haystacks import ESSAYS, essay_sentences, essays_digest
from archbench.tasks.ruler.needles import NEEDLES, Needles
from archbench.tasks.ruler.qa_data import FILES, read_qa_file
from archbench.tasks.ruler.question_answering import VERSION as QUESTIONS_VERSION
from archbench.tasks.ruler.question_answering import QuestionAnswering
from archbench.tasks.ruler.variables import Variables
from archbench.tasks.ruler.vocabulary import DIGITS

Task = Literal[
    "niah_single_1",
    "niah_single_2",
    "niah_single_3",
    "niah_multikey_1",
    "niah_multikey_2",
    "niah_multikey_3",
    "niah_multivalue",
    "niah_multiquery",
    "vt",
    "cwe",
    "fwe",
    "qa_1",
    "qa_2",
]

TASKS: dict[Task, Subtask] = {
    one.name: one  # type: ignore[misc]  # mypy takes the name for any str
    for one in (
        *(Subtask(name, "retrieval", 128) for name in NEEDLES),
        Subtask("vt", "tracing", 30),
        Subtask("cwe", "aggregation", 120),
        Subtask("fwe", "aggregation", 50),
        Subtask("qa_1", "question answering", 32, part=True),
        Subtask("qa_2", "question answering", 32, part=True),
    )
}
"""By name, in the order of tables (RULER, arXiv:2404.06654, section 3 and its code)."""


USED_BY: dict[str, tuple[Task, ...]] = {
    "essays": tuple(task for task in TASKS if task in NEEDLES and NEEDLES[task].haystack == "essay"),
    "squad": ("qa_1",),
    "hotpotqa": ("qa_2",),
    "data": tuple(task for task in TASKS if task in NEEDLES and NEEDLES[task].keys == "words"),
    "digits": tuple(task for task in TASKS if task in NEEDLES and NEEDLES[task].values == "numbers"),
}
"""Tasks that use each of the `Sources`."""


@dataclass(frozen=True)
class Sources:
    """Texts that items are made from.

    Attributes:
        essays: Folder of texts or hub data set for the haystack `essay`; the package's own where absent.
        squad: File of SQuAD, for `qa_1`.
        hotpotqa: File of HotpotQA, for `qa_2`.
        data: File of names, for the keys of needles; archbench's words where absent.
        digits: Digits of the numbers in needles.
    """

    essays: str | None = None
    squad: str | None = None
    hotpotqa: str | None = None
    data: str | None = None
    digits: int = DIGITS

    def digest(self, task: Task) -> str | None:
        """Digest of what a task is made from; None where everything in it is drawn.

        Raises:
            RequestError: It cannot be read.
        """
        if task in FILES:
            return f"{QUESTIONS_VERSION} {read_qa_file(FILES[task], getattr(self, FILES[task])).digest}"
        needle = NEEDLES.get(task)
        if needle is None:
            return None
        parts = [essays_digest(self._essays)] if needle.haystack == "essay" else []
        if needle.keys == "words" and self.data is not None:
            parts.append(content_digest("\n".join(self.names())))
        if needle.values == "numbers" and self.digits != DIGITS:
            parts.append(amount(self.digits, "digit"))
        return " ".join(parts) or None

    def names(self) -> tuple[str, ...]:
        """Names for keys; empty where archbench's own words are used."""
        if self.data is None:
            return ()
        names = read_names(Path(self.data))
        numbered = next((name for name in names if re.search(r"\d", name)), None)
        if numbered is not None:
            raise RequestError(
                f"{self.data}: the name '{numbered}' has a digit in it; needles hide numbers, and none of "
                "them may come with a name."
            )
        return names

    def sentences(self) -> tuple[str, ...]:
        """Sentences of the essays."""
        return essay_sentences(self._essays)

    @property
    def _essays(self) -> str | Path:
        return ESSAYS if self.essays is None else self.essays


def items(
    task: Task, seed: int, length: int, samples: int, sources: Sources, count: TokenCounter
) -> Iterator[dict[str, Any]]:
    """Items of a task at a length; see `ruler_items`."""
    forms = partial(_forms, task, seed, sources, count)
    return ruler_items(_subtask(task, sources), forms, seed, length, samples, count)


def check(task: Task, seed: int, length: int, samples: int, sources: Sources, count: TokenCounter) -> None:
    """Make sure that a task's items can be made at a length; see `check_items`."""
    forms = partial(_forms, task, seed, sources, count)
    check_items(_subtask(task, sources), forms, seed, length, samples, count, limited=is_limited(task))


def is_limited(task: Task) -> bool:
    """Whether the filler of long texts may run out: files, names, numbers and words are finite."""
    needle = NEEDLES.get(task)
    needles = needle is not None and needle.haystack == "needle" and needle.keys == "words"
    return needles or task == "cwe" or task in FILES


def _subtask(task: Task, sources: Sources) -> Subtask:
    found = TASKS[task]
    if task in NEEDLES and NEEDLES[task].values == "numbers" and sources.digits != DIGITS:
        # Room for one answer: within the published room, random digits would soon hit a short number.
        found = replace(found, room=0)
    return found


def _forms(task: Task, seed: int, sources: Sources, count: TokenCounter, length: int) -> Sequence[Maker]:
    """The forms of a task at a length, the published one first."""
    if task in NEEDLES:
        essay = sources.sentences() if NEEDLES[task].haystack == "essay" else ()
        return [Needles(task, essay, names=sources.names(), digits=sources.digits, file=sources.data)]
    if task == "vt":
        return [Variables(), Variables("short")]
    if task == "cwe":
        return [CommonWords(counts) for counts in COUNTS[0 if length >= FULL_LENGTH else 1 :]]
    if task == "fwe":
        return [FrequentWords(length)]
    data = read_qa_file(FILES[task], getattr(sources, FILES[task]))
    return [QuestionAnswering(task, data, seed, length, TASKS[task].room, count)]
