"""One variant of one task put to one model, through lm-eval's evaluator."""

from __future__ import annotations

import math
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
            a number of an item is not finite.
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
    _check_finite(rows, variant.name)
    metrics = scores(rows)
    if variant.metric not in metrics:
        hint = did_you_mean(variant.metric, metrics, label="Scores of single items")
        raise RunError(f"The metric '{variant.metric}' of {variant.name} is no score of single items. {hint}")
    excluded = sum(row.get("excluded", False) for row in rows)
    return Evaluation(rows, tuple(metrics), {} if excluded else dict(results["results"]), excluded)


def _check_finite(rows: list[Row], variant: str) -> None:
    """Refuse numbers that are none: the best of them would be chosen by chance, and a mean be none either."""
    for row in rows:
        for name, value in row.items():
            for one in value if name == "loglikelihoods" and value is not None else (value,):
                if isinstance(one, float) and not math.isfinite(one):
                    raise RunError(
                        f"'{name}' of item {row['item']} of {variant} is {one}, which is no finite number: "
                        "the model diverged, its dtype overflows, or the metric cannot be computed from this "
                        "answer. Check its weights, or load it in bfloat16 or float32."
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
