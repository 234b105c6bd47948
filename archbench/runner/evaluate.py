"""One variant of one task put to one model, through lm-eval's evaluator."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

from lm_eval.evaluator import evaluate

from archbench.errors import RunError, did_you_mean
from archbench.runner.items import Row, item_rows, scores
from archbench.tasks.entry import Variant
from archbench.tasks.loading import load_tasks, quiet, seed_all


@dataclass(frozen=True)
class Evaluation:
    """What a model answered.

    Attributes:
        rows: One row per item.
        metrics: Names of the columns that are scores.
        aggregates: lm-eval's own aggregate metrics, by lm-eval task or group; none where items were excluded,
            since lm-eval knows nothing of that.
        excluded: How many items were too long for the model and were not put to it.
    """

    rows: list[Row]
    metrics: tuple[str, ...]
    aggregates: dict[str, Any]
    excluded: int = 0


def evaluate_variant(lm: Any, variant: Variant, *, limit: int | None, seed: int) -> Evaluation:
    """Put a variant's items to a model.

    lm-eval's two caches stay off: their keys leave out the model and the prompt. So does its choice of single
    documents (`samples=`), which labels them wrongly unless they are in ascending order.

    Args:
        lm: An lm-eval `LM`; where it has `token_counts`, items carry lengths in tokens.
        variant: The variant.
        limit: Only the first so many documents of each lm-eval task.
        seed: Seed of everything random: task construction, choice of shots, sampling.

    Raises:
        RunError: If the tasks cannot be loaded as asked, the primary metric is no score of single items, or
            an item's score is not finite.
    """
    with quiet():
        loaded = load_tasks(variant, seed)
        seed_all(seed)
        results = evaluate(lm, loaded, limit=limit, bootstrap_iters=0, log_samples=True)
    tasks = loaded["tasks"]
    # Our own tasks give their documents ids; others are told apart by task and position.
    rows = [
        row
        for name, task in tasks.items()
        for row in item_rows(
            results["samples"][name],
            task,
            token_counts=getattr(lm, "token_counts", _unknown),
            prompt_length=partial(_prompt_length, lm),
            excluded=getattr(lm, "excluded", _never),
            prefix=name if variant.stock else None,
            subject=name if len(tasks) > 1 else None,
        )
    ]
    metrics = scores(rows)
    if variant.metric not in metrics:
        hint = did_you_mean(variant.metric, metrics, label="Scores of single items")
        raise RunError(f"The metric '{variant.metric}' of {variant.name} is no score of single items. {hint}")
    _check_finite(rows, metrics, variant.name)
    excluded = sum(row.get("excluded", False) for row in rows)
    return Evaluation(rows, tuple(metrics), {} if excluded else dict(results["results"]), excluded)


def _check_finite(rows: list[Row], metrics: Iterable[str], variant: str) -> None:
    """Refuse scores that are no numbers: a mean over them would be none either, or leave items out."""
    for row in rows:
        for metric in metrics:
            if (value := row.get(metric)) is not None and not math.isfinite(value):
                raise RunError(
                    f"The score {metric} of item {row['item']} of {variant} is {value}, which is no finite "
                    "number: the metric cannot be computed from this answer."
                )


def _prompt_length(lm: Any, prompt: str) -> int | None:
    """Tokens of a prompt, where the backend can tell."""
    encode = getattr(lm, "tok_encode", None)
    return len(encode(prompt)) if encode is not None else None


def _never(arguments: Any) -> bool:
    """Exclusion by a model that excludes nothing."""
    return False


def _unknown(context: str, continuation: str) -> None:
    """Token counts of a backend that does not tell them."""
