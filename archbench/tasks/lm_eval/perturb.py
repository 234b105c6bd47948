"""Perturbed prompts of lm-eval's own multiple-choice tasks: which changes a task allows, and the changes.

The task is changed after lm-eval has built it, so that its YAML, documents, choice of shots and scores stay
its own. A change here that alters a prompt needs a higher `SCORER_VERSION` (`archbench.runner.plan`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import cached_property
from itertools import islice
from typing import Any, get_args

from archbench.errors import RunError
from archbench.tasks.lm_eval.layout import (
    Options,
    bare_labels,
    beginning,
    begun_otherwise,
    find_options,
    other_label,
)
from archbench.tasks.perturbations import NEEDED_SHOTS, PREAMBLE, SEPARATOR, Perturbation

ANSWER_PREFIX = "The answer is"
"""How `answer_prefix` begins an answer."""
_SHOWN: dict[Perturbation, Callable[[Options], Options]] = {
    "option_order": Options.moved,
    "labels": Options.relabelled,
    "delimiter": Options.ended_otherwise,
}


class LmEvalPrompts:
    """The prompts of an lm-eval task, and which changes they allow.

    Attributes:
        task: The task, as lm-eval built it.
        shots: Shots per prompt.
    """

    def __init__(self, task: Any, shots: int, limit: int | None = None) -> None:
        """Read a task.

        Args:
            task: The task.
            shots: Shots per prompt.
            limit: How many of its documents are evaluated; None for all.
        """
        self.task, self.shots, self._limit = task, shots, limit

    def possible(self) -> list[Perturbation]:
        """The changes that the prompts allow."""
        return [how for how in get_args(Perturbation) if self.why_not(how) is None]

    def why_not(self, how: Perturbation) -> str | None:
        """Why a change is not possible, as a clause; None where it is."""
        if self.task.OUTPUT_TYPE != "multiple_choice":
            return "only multiple-choice tasks can be changed"
        if self.shots < (needed := NEEDED_SHOTS.get(how, 0)):
            return f"it needs {needed} or more shots, and the prompt has {self.shots}"
        if how in NEEDED_SHOTS or how == "preamble":
            return None
        if how == "answer_prefix" or (how == "delimiter" and not self.shows_options):
            return self._no_beginning(how)
        return self._no_options(how)

    @property
    def shows_options(self) -> bool:
        """Whether the prompt of the first document shows labelled options."""
        return bool(self._options) and self._options[0] is not None

    @cached_property
    def _docs(self) -> list[Any]:
        return list(islice(self.task.task_docs, self._limit))

    @cached_property
    def _texts(self) -> list[Any]:
        return [self.task.doc_to_text(doc) for doc in self._docs]

    @cached_property
    def _options(self) -> list[Options | None]:
        pairs = zip(self._docs, self._texts, strict=True)
        return [_options(self.task.doc_to_choice(doc), doc, text) for doc, text in pairs]

    def _no_beginning(self, how: Perturbation) -> str | None:
        if self.task.config.gen_prefix:
            return "its answers begin with a text of their own (gen_prefix)"
        ways = {beginning(text) if isinstance(text, str) else None for text in self._texts}
        if None in ways:
            return "not all of its prompts end in 'Answer:' or 'A:'"
        if len(ways) > 1:
            return f"its prompts end in different words ({', '.join(sorted(map(str, ways)))})"
        if any(options and f"{options.labels[0]}{options.end}".strip() in ways for options in self._options):
            return "its first option begins as its answers do"
        delimiters = {self.task.config.target_delimiter, self.task.fewshot_cfg.target_delimiter}
        if how == "delimiter" and delimiters != {" "}:
            return "no single space stands between its prompts and answers"
        return None

    def _no_options(self, how: Perturbation) -> str | None:
        if not any(self._options):
            return "its prompts show no labelled options" + (
                ": each is scored by itself, so their order changes nothing" * (how == "option_order")
            )
        for number, options in enumerate(self._options):
            if options is None:
                return f"the prompt of document {number} does not show its options as those of others do"
            if how == "delimiter" and options.in_parentheses:
                return "its labels stand in parentheses"
            # Otherwise the instructions would name labels that the prompt no longer shows.
            around = f"{self.task.config.description} {options.after}"
            if how == "labels" and all(re.search(rf"\b{re.escape(one)}\b", around) for one in options.labels):
                return "its instructions name the labels"
        return None if how == "delimiter" else self._no_single_answer(how)

    def _no_single_answer(self, how: Perturbation) -> str | None:
        if how == "option_order" and callable(self.task.config.process_results):
            return "its scores are computed by code of its own, which may rely on the order"
        for number, (doc, options) in enumerate(zip(self._docs, self._options, strict=True)):
            choices, target = self.task.doc_to_choice(doc), self.task.doc_to_target(doc)
            shown = [one.strip() for one in options.texts] if options is not None else []
            if not bare_labels(choices) and [one.strip() for one in choices] != shown:
                return f"document {number} scores texts other than those that its prompt shows"
            if not (isinstance(target, int) or (isinstance(target, str) and target in choices)):
                return f"the right answer of document {number} is no single choice"
        return None


def perturb_task(name: str, task: Any, how: Perturbation) -> None:
    """Change one thing about the prompts of a task that lm-eval has built.

    Args:
        name: The task's name, for messages.
        task: The task; its methods and settings are replaced.
        how: A change that the task allows (`LmEvalPrompts.why_not`).
    """
    if how == "preamble":
        context = task.fewshot_context
        task.fewshot_context = lambda *args, **kwargs: _after_preamble(context(*args, **kwargs))
    elif how == "shot_order":
        sample = task.sampler.sample
        task.sampler.sample = lambda *args, **kwargs: list(sample(*args, **kwargs))[::-1]
    elif how == "separator":
        task.fewshot_cfg.fewshot_delimiter = SEPARATOR
    elif how == "answer_prefix":
        text = task.doc_to_text
        task.doc_to_text = lambda *args: _otherwise(name, text(*args))
    elif how == "delimiter" and not LmEvalPrompts(task, 0, 1).shows_options:
        task.set_config(key="target_delimiter", value="\n")
        task.fewshot_cfg.target_delimiter = "\n"
    else:
        _change_options(name, task, how)


def _after_preamble(context: Any) -> Any:
    if isinstance(context, list):  # one context for each choice (Winogrande)
        return [f"{PREAMBLE}\n\n{one}" for one in context]
    return f"{PREAMBLE}\n\n{context}"


def _otherwise(name: str, text: str) -> str:
    found = beginning(text)
    if found is None:
        raise RunError(
            f"lm-eval's task '{name}': the prompt of a shot ends in {text[-20:]!r} and not in 'Answer:' or "
            "'A:', so answer_prefix is not possible. Take it out of `perturb`."
        )
    return begun_otherwise(text, found, ANSWER_PREFIX)


def _change_options(name: str, task: Any, how: Perturbation) -> None:
    """Change shown options, and with them the choices scored and the right one."""
    text, choice, target = task.doc_to_text, task.doc_to_choice, task.doc_to_target

    def changed_text(doc: Any, *own: Any) -> str:
        options = _options(choice(doc), doc, shown := text(doc, *own))
        if options is None:
            raise RunError(
                f"lm-eval's task '{name}': the prompt of a shot does not show its options as the "
                f"evaluated questions do, so {how} is not possible ({shown[-200:]!r}). Take it out of "
                "`perturb`."
            )
        return str(_SHOWN[how](options))

    def changed_choice(doc: Any, *own: Any) -> list[str]:
        choices = list(choice(doc, *own))
        labels = bare_labels(choices)
        if how == "option_order" and not labels:
            return choices[-1:] + choices[:-1]
        if how == "labels" and labels:
            both = zip(choices, labels, strict=True)
            return [one.replace(label, other_label(label)) for one, label in both]
        return choices

    def changed_target(doc: Any, *own: Any) -> Any:
        right, choices = target(doc, *own), list(choice(doc))
        moved = 1 if how == "option_order" else 0
        if isinstance(right, str) and right in choices:
            # Where texts are scored, the right text is the right one in any order.
            by_label = bare_labels(choices) is not None
            return changed_choice(doc)[(choices.index(right) + moved) % len(choices)] if by_label else right
        return (right + moved) % len(choices) if isinstance(right, int) else right

    task.doc_to_text, task.doc_to_choice, task.doc_to_target = changed_text, changed_choice, changed_target


def _options(choices: Sequence[str], doc: Any, text: Any) -> Options | None:
    return find_options(text, choices, doc) if isinstance(text, str) else None
