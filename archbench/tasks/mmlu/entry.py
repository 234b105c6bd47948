"""The suite entry `kind: mmlu`."""

from __future__ import annotations

import logging
from typing import ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from archbench.errors import amount
from archbench.identity import digest
from archbench.paths import expanded
from archbench.results.shapes import CellShape
from archbench.schema import Address, Shots
from archbench.tasks.entry import TaskEntry, Variant, each_once
from archbench.tasks.files.alike import folded
from archbench.tasks.files.duplicates import duplicate_examples, duplicate_questions, leaked_questions
from archbench.tasks.mmlu import prompts
from archbench.tasks.mmlu.answer_key import Base
from archbench.tasks.mmlu.data import Questions, load
from archbench.tasks.mmlu.subjects import UNLISTED
from archbench.tasks.perturbations import Perturbation
from archbench.tasks.work import LmEval

_log = logging.getLogger(__name__)

_NEEDS: dict[Perturbation, str] = {
    "option_order": "cloze prompts show no options",
    "labels": "cloze prompts show no options",
    "delimiter": "cloze prompts show no options",
    "shot_order": "there is no order of fewer than two shots",
    "separator": "nothing is to be separated without shots",
}
"""Why a change is not possible everywhere, as a clause."""
_METRIC: dict[prompts.Format, str] = {"standard": "acc", "choice_text": "acc_norm", "cloze": "acc_norm"}


class MmluEntry(TaskEntry):
    """MMLU in up to three formats over the same items, shots and descriptions (docs/mmlu.md).

    Attributes:
        kind: `mmlu`.
        data: A folder with `test` and `dev` as parquet, CSV or JSONL, or a hub data set id (`cais/mmlu`).
        formats: Which formats, in the order in which tables show them.
        shots: Numbers of shots, each the first so many `dev` questions of the item's own subject.
        subjects: Only these subjects; None for all.
        limit: Only the first so many items of each subject; None for all.
        description: True for MMLU's line about the subject before the first shot, False for none, or a line
            of your own in which `{subject}` is replaced.
        question_prefix: Text before every question, in shots and item alike.
        answer_base: What answers that are numbers are counted from, 0 or 1; 0 where absent, and a note
            with the scores says so if the data leave it open.
        perturb: Changes to the prompt, each a variant of its own next to the plain one: `option_order`,
            `labels`, `delimiter`, `answer_prefix`, `shot_order`, `preamble`, `separator`. Where one would
            change nothing (labels in `cloze`, the order of no shots) it is left out, with a warning; one that
            would change none of the variants is refused.
    """

    SHAPE: ClassVar = CellShape(
        (frozenset({"format", "shots"}),),
        optional=frozenset({"prompt"}),
        metrics=frozenset({"acc", "acc_norm"}),
    )

    kind: Literal["mmlu"] = "mmlu"
    data: Address = Field(min_length=1)
    formats: list[prompts.Format] = Field(default=["standard", "choice_text", "cloze"], min_length=1)
    shots: list[Shots] = Field(default=[0, 5], min_length=1)
    subjects: list[str] | None = Field(default=None, min_length=1)
    description: bool | str = True
    question_prefix: str = ""
    answer_base: Base | None = None
    perturb: list[Perturbation] = Field(default_factory=list)

    _each_once = field_validator("formats", "shots", "subjects", "perturb")(each_once)

    @model_validator(mode="after")
    def _something_to_perturb(self) -> MmluEntry:
        for how in self.perturb:
            if not any(changes(how, form, shots) for form in self.formats for shots in self.shots):
                raise ValueError(
                    f"perturb: {how} would change none of the prompts (formats {', '.join(self.formats)}; "
                    f"shots {', '.join(map(str, self.shots))}), since {_NEEDS[how]}: take it out"
                )
        return self

    def check(self) -> None:
        """Read the data and make sure that every subject has enough shots.

        Raises:
            RequestError: The data cannot be read, a row is not as expected, a subject is not in the data or
                has too few shots.
        """
        self._questions().require_shots(self.shots)
        for how in self.perturb:
            ways = [(form, shots) for form in self.formats for shots in self.shots]
            if out := [f"{form}-{shots}shot" for form, shots in ways if not changes(how, form, shots)]:
                _log.warning("perturb: %s is left out of %s, since %s.", how, ", ".join(out), _NEEDS[how])

    def notes(self) -> list[str]:
        """What stands out about the data."""
        return notes(self._questions(), max(self.shots))

    def part_of_every_variant(self) -> str | None:
        """The longest question, with what is put before every question."""
        return self.question_prefix + max((item.question.strip() for item in self._questions().test), key=len)

    def variants(self) -> list[Variant]:
        """One variant for each format and number of shots."""
        # Workers may run elsewhere on this machine: a folder is passed on by its full path.
        folder = expanded(self.data)
        metadata = {
            "data": str(folder.resolve()) if folder.is_dir() else self.data,
            "subjects": self.subjects,
            "limit": self.limit,
            "description": self.description,
            "question_prefix": self.question_prefix,
            "answer_base": self.answer_base,
        }
        plain = [
            Variant(
                name=f"{form}-{shots}shot",
                labels={"format": form, "shots": shots},
                work=LmEval([f"archbench_mmlu_{form}"], shots, dict(metadata)),
                metric=_METRIC[form],
                chance=0.25,
            )
            for form in self.formats
            for shots in self.shots
        ]
        return plain + [
            one.perturbed(how)
            for one in plain
            for how in self.perturb
            if changes(how, str(one.labels["format"]), int(one.labels["shots"]))
        ]

    def digest(self) -> str:
        """Hex SHA-256 of the items, their shots, the prompt settings and the version of the prompt code."""
        parts = [prompts.VERSION, self._questions().digest(), self.description, self.question_prefix]
        return digest(parts, spaces=True)

    def _questions(self) -> Questions:
        return load(self.data, subjects=self.subjects, limit=self.limit, answer_base=self.answer_base)


def changes(perturbation: Perturbation, form: str, shots: int) -> bool:
    """Whether a perturbation changes anything about a format's prompts."""
    if perturbation in ("option_order", "labels", "delimiter"):
        return form != "cloze"
    if perturbation == "shot_order":
        return shots > 1
    return perturbation != "separator" or shots > 0


def notes(questions: Questions, shots: int = 0) -> list[str]:
    """What a reader of the scores should know about the data, a paragraph each.

    Args:
        questions: The questions and their shots.
        shots: Largest number of shots in a prompt.
    """
    found = [questions.base_note] if questions.base_note else []
    unlisted = sorted({item.subject for item in questions.test if item.category == UNLISTED})
    if unlisted:
        found.append(
            f"{amount(len(unlisted), 'subject is', 'subjects are')} not among MMLU's 57 and without a "
            "category, reported as "
            f"'{UNLISTED}': {', '.join(unlisted[:5])}{', ...' if len(unlisted) > 5 else ''}."
        )
    twins = [item for item in questions.test if len(set(item.choices)) < len(item.choices)]
    if twins:
        gold = sum(item.choices.count(item.choices[item.answer]) > 1 for item in twins)
        lost = sum(item.choices.index(item.choices[item.answer]) != item.answer for item in twins)
        found.append(
            f"{len(twins)} of {amount(len(questions.test), 'item')} have two options with the same text, "
            "the right one "
            f"among them in {gold}; they are kept as they are, and where options' texts are scored the first "
            f"of equals is the prediction, so {lost} cannot be answered correctly."
        )
    keys = [item.content for item in questions.test]
    names = [item.id for item in questions.test]
    right = [folded(item.choices[item.answer]) for item in questions.test]
    # Shots are those of the item's own subject.
    evaluated = [(item.subject, item.content) for item in questions.test]
    examples = [shot for some in questions.dev.values() for shot in some[:shots]]
    shown = [(shot.subject, shot.content) for shot in examples]
    known = [folded(shot.choices[shot.answer]) for shot in examples]
    more = (
        duplicate_questions(keys, names, right),
        leaked_questions(evaluated, shown, names, questions.source),
        duplicate_examples(shown, [shot.id for shot in examples], known, questions.source),
    )
    return found + [note for note in more if note is not None]
