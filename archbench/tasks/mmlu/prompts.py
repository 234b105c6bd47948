r"""The three formats, one function each: an item's prompt up to where its answer begins.

lm-eval puts the pieces together (`{}` marks what these functions return):

    description, blank line            once, where it is switched on
    {shot} + " " + its answer          n times, each followed by a blank line
    {item}                             the evaluated question
    " " + choice                       scored, once for each choice

so a shot is an item with its answer filled in. All three formats get the same documents (`row` in `task.py`)
and differ in two things only: whether the options are shown, and whether an answer is a letter or a text.

| format | options shown | choices scored |
|---|---|---|
| standard | yes | `A`, `B`, `C`, `D` |
| choice_text | yes | the options' texts |
| cloze | no | the options' texts |

No text of the data is ever read as a template, and options are put to the model as they are in the data,
spaces included; only the question is stripped. That is what lm-eval's `mmlu` and `mmlu_continuation` do.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

Format = Literal["standard", "choice_text", "cloze"]

VERSION = 1
"""Goes into every cell's key: raise it when a change here, in `task.py` or in the YAMLs alters a prompt."""

LETTERS = ("A", "B", "C", "D")
DESCRIPTION = "The following are multiple choice questions (with answers) about {subject}."


def description(subject: str, setting: bool | str) -> str:
    """The text before the first shot.

    Args:
        subject: The item's subject; underscores are shown as spaces.
        setting: True for MMLU's own line (`DESCRIPTION`), False for none, or a line of your own in which
            every `{subject}` is replaced.

    Returns:
        The line and a blank line after it, or the empty string.
    """
    line = DESCRIPTION if setting is True else setting or ""
    return line.replace("{subject}", subject.replace("_", " ")) + "\n\n" if line else ""


def standard(doc: Mapping[str, Any]) -> str:
    r"""Options shown, the answer is a letter.

        {question_prefix}{question}
        A. {choices[0]}
        B. {choices[1]}
        C. {choices[2]}
        D. {choices[3]}
        Answer:                         scored: " A", " B", " C", " D"

    Letters, the full stop after them and `Answer:` are the document's, so that a perturbed prompt
    (`archbench.tasks.perturbations`) may have others.

    Args:
        doc: A row of the task's data set.

    Returns:
        The prompt, ending in `Answer:`.
    """
    options = "".join(
        f"\n{label}{doc['label_end']} {text}"
        for label, text in zip(doc["labels"], doc["choices"], strict=True)
    )
    return f"{_stem(doc)}{options}\n{doc['answer_prefix']}"


def choice_text(doc: Mapping[str, Any]) -> str:
    r"""Options shown, the answer is the option's text.

        {question_prefix}{question}
        A. {choices[0]}
        B. {choices[1]}
        C. {choices[2]}
        D. {choices[3]}
        Answer:                         scored: " {choices[0]}", ... " {choices[3]}"

    Args:
        doc: A row of the task's data set.

    Returns:
        The prompt, ending in `Answer:`; the same text as `standard`.
    """
    return standard(doc)


def cloze(doc: Mapping[str, Any]) -> str:
    r"""No options shown, the answer is the option's text.

        {question_prefix}{question}
        Answer:                         scored: " {choices[0]}", ... " {choices[3]}"

    Args:
        doc: A row of the task's data set.

    Returns:
        The prompt, ending in `Answer:`.
    """
    return f"{_stem(doc)}\n{doc['answer_prefix']}"


def _stem(doc: Mapping[str, Any]) -> str:
    return f"{doc['question_prefix']}{doc['question'].strip()}"
