"""From lm-eval's samples to item rows (the columns are described in docs/architecture.md)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from archbench.answers import form_of
from archbench.identity import content_digest
from archbench.results.header import ITEM_COLUMNS
from archbench.tasks.work.base import Row

TokenCounts = Callable[[str, str], tuple[int, int] | None]
"""(prompt tokens, continuation tokens) of a request; None where the backend does not report them."""

Excluded = Callable[[Sequence[Any]], bool]
"""Whether the request with these arguments was too long and was not put to the model."""

PromptLength = Callable[[str], int | None]
"""Tokens of a prompt; None where the backend does not report them."""

# Columns that need an answer; the others are known of an item before any model has answered it.
_OF_ANSWERS = {"loglikelihoods", "prediction", "margin", "excluded"}
_OF_ITEMS = frozenset(ITEM_COLUMNS) - _OF_ANSWERS
# What lm-eval's filters return for an answer in which they find nothing.
_NOTHING_FOUND = "[invalid]"


def item_rows(
    samples: Sequence[Mapping[str, Any]],
    task: Any,
    *,
    token_counts: TokenCounts,
    prompt_length: PromptLength = lambda prompt: None,
    excluded: Excluded = lambda arguments: False,
    prefix: str | None = None,
    subject: str | None = None,
) -> list[Row]:
    """Item rows of one lm-eval task, one per document, in the data's order.

    Args:
        samples: `results["samples"][task]` of `lm_eval.evaluator.evaluate`: one per document and filter.
        task: The lm-eval task object the samples came from.
        token_counts: Lengths in tokens of a (context, continuation) pair.
        prompt_length: Length in tokens of a prompt that was generated after.
        excluded: Whether a request was not put to the model. One such leaves the whole item without answer:
            `excluded` is true, and neither a prediction nor a score stands in its row.
        prefix: Put before the document's number to make item ids, for tasks whose documents have no `id` that
            is unique across tasks; None takes the document's own `id`.
        subject: Subject of documents that name none.

    Returns:
        Rows with every metric of the task under its own name. Where a task has several filters, the first
        one's metrics have the plain names and the others are called `metric,filter`, as lm-eval writes them.
    """
    rows: dict[int, Row] = {}
    out: set[int] = set()
    measured = {"acc_token"}
    first_filter = samples[0]["filter"] if samples else ""
    for sample in samples:
        doc_id = sample["doc_id"]
        if doc_id not in rows:
            rows[doc_id] = {"subject": subject} | _row(sample, task, prefix, token_counts, prompt_length)
            if any(excluded(arguments) for arguments in sample["arguments"]):
                out.add(doc_id)
        for metric in sample["metrics"]:
            name = metric if sample["filter"] == first_filter else f"{metric},{sample['filter']}"
            number = _number(sample[metric])
            if number is not None:
                rows[doc_id][name] = number
                measured.add(name)
    for doc_id in out:
        row = rows[doc_id]
        unscored = dict.fromkeys(name for name in row if name in measured)
        known = {name: value for name, value in row.items() if name in _OF_ITEMS}
        rows[doc_id] = known | unscored | {"prediction": "", "excluded": True}
    return [rows[doc_id] for doc_id in sorted(rows)]


def scores(rows: Sequence[Row]) -> list[str]:
    """Names of the metric columns that are scores: 0 to 1 (or null) in every row, in alphabetical order.

    lm-eval also has per-document values that are no scores by themselves (a log-likelihood for a perplexity,
    a pair for an F1); their aggregates are kept in the cell's header. A column may be null throughout, as
    `acc_token` is where token counts are unknown: which metrics a task has must not depend on the member.
    Whole numbers and texts are never scores: those columns are what a task reports in addition
    (`item_details`).
    """
    names = {name for row in rows for name in row if name not in ITEM_COLUMNS}
    kept = []
    for name in sorted(names):
        values = [row.get(name) for row in rows]
        known = [value for value in values if value is not None]
        if all(isinstance(value, float) and 0 <= value <= 1 for value in known):
            kept.append(name)
    return kept


def _row(
    sample: Mapping[str, Any],
    task: Any,
    prefix: str | None,
    token_counts: TokenCounts,
    prompt_length: PromptLength,
) -> Row:
    doc, arguments = sample["doc"], sample["arguments"]
    known = doc if isinstance(doc, Mapping) else {}
    number = sample["doc_id"]
    item = str(known.get("id", number)) if prefix is None else f"{prefix}:{number}"
    # More than one context where a task scores one ending after several beginnings (Winogrande).
    contexts = dict.fromkeys(str(one[0]) for one in arguments)
    row: Row = {
        "item": item,
        "doc": number,
        "prompt_hash": content_digest("\0".join(contexts)),
        "target": str(sample["target"]),
        "excluded": False,
    }
    row |= {group: known[group] for group in ("subject", "category") if known.get(group) is not None}
    if task.OUTPUT_TYPE == "multiple_choice":
        return row | _choice_columns(sample, task, token_counts)
    response = sample["filtered_resps"][0]
    answer = response if isinstance(response, str) else str(response)
    # Our own tasks report more of an item than its scores: where the needle was, what was answered instead.
    details = task.item_details(doc, answer) if hasattr(task, "item_details") else {}
    if task.OUTPUT_TYPE == "generate_until":
        form = form_of("".join(map(str, sample["resps"][0])), of_the_kind=answer != _NOTHING_FOUND)
        known = {"prediction": answer, "prompt_tokens": prompt_length(str(arguments[0][0]))}
        return row | known | {"answer_form": form} | details
    # One number per document, nothing to choose from. A rolling request has no context: (text,).
    value = response[0] if isinstance(response, Sequence) else response
    context, continuation = ("", *arguments[0])[-2:]
    counts = token_counts(str(context), str(continuation))
    return (
        row
        | {
            "loglikelihoods": [float(value)],
            "choice_tokens": [counts[1]] if counts else None,
            "choice_chars": [len(str(continuation))],
            "prompt_tokens": counts[0] if counts else None,
            "prediction": "",
        }
        | details
    )


def _choice_columns(sample: Mapping[str, Any], task: Any, token_counts: TokenCounts) -> Row:
    """Columns of a multiple-choice item: what each choice scored, and which one wins.

    Ties go to the first choice, as `numpy.argmax` does in lm-eval's `acc`.
    """
    # Tasks with acc_mutual_info append one unconditional request per choice.
    scored = len(sample["arguments"]) // (2 if "acc_mutual_info" in sample["metrics"] else 1)
    arguments = sample["arguments"][:scored]
    lls = [float(responses[0][0]) for responses in sample["resps"][:scored]]
    counts = [token_counts(str(context), str(continuation)) for context, continuation in arguments]
    tokens = [count[1] for count in counts if count is not None]
    gold = _gold(sample, task)
    best = _argmax(lls)
    row: Row = {
        "target": ",".join(map(str, gold)),
        "choices": [str(continuation) for _, continuation in arguments],
        "loglikelihoods": lls,
        "choice_tokens": tokens if len(tokens) == scored else None,
        "choice_chars": [len(continuation) for _, continuation in arguments],
        "prompt_tokens": counts[0][0] if counts[0] is not None else None,
        "prediction": str(best),
        "margin": _margin(lls),
    }
    row["acc_token"] = None
    if row["choice_tokens"] is not None and all(tokens):
        per_token = [ll / count for ll, count in zip(lls, tokens, strict=True)]
        row["acc_token"] = float(_argmax(per_token) in gold)
    return row


def _gold(sample: Mapping[str, Any], task: Any) -> list[int]:
    """Indices of the right choices, by lm-eval's own rules."""
    doc = sample["doc"]
    gold = task.doc_to_text(doc) if getattr(task, "multiple_input", 0) else sample["target"]
    if isinstance(gold, str):
        choices = task.doc_to_choice(doc)
        return [choices.index(gold)] if gold in choices else []
    return [int(one) for one in gold] if isinstance(gold, list | tuple) else [int(gold)]


def _argmax(values: Sequence[float]) -> int:
    return max(range(len(values)), key=lambda index: values[index])


def _margin(values: Sequence[float]) -> float | None:
    if len(values) < 2:
        return None
    best, second = sorted(values, reverse=True)[:2]
    # Two choices of probability zero differ by nothing that is a number.
    return best - second if math.isfinite(best - second) else None


def _number(value: Any) -> float | None:
    """A metric's value where it is one number."""
    if hasattr(value, "item") and getattr(value, "ndim", 0) == 0:
        value = value.item()
    return float(value) if isinstance(value, bool | int | float) else None
