"""One variant of one task put to one model, through lm-eval's evaluator."""

from __future__ import annotations

import contextlib
import json
import logging
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import datasets
import lm_eval.api.task
import numpy as np
import torch
from lm_eval.evaluator import evaluate
from lm_eval.tasks import TaskManager

from archbench import paths
from archbench.errors import RunError, did_you_mean
from archbench.runner.items import Row, item_rows, scores
from archbench.tasks import stock
from archbench.tasks.entry import Variant
from archbench.tasks.local import adapted


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
        RunError: If the tasks cannot be loaded as asked, or the primary metric is no score of single items.
    """
    with _quiet():
        _seed_all(seed)
        metadata = json.dumps(variant.metadata, sort_keys=True)
        manager = stock.task_manager() if variant.stock else _own_tasks(metadata)
        with adapted(manager.task_index, variant.tasks, variant.data):
            loaded = manager.load(list(variant.tasks))
        for name, task in loaded["tasks"].items():
            _set_shots(name, task, variant.num_fewshot, seed)
        _seed_all(seed)
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
    excluded = sum(row.get("excluded", False) for row in rows)
    return Evaluation(rows, tuple(metrics), {} if excluded else dict(results["results"]), excluded)


def _prompt_length(lm: Any, prompt: str) -> int | None:
    """Tokens of a prompt, where the backend can tell."""
    encode = getattr(lm, "tok_encode", None)
    return len(encode(prompt)) if encode is not None else None


def _never(arguments: Any) -> bool:
    """Exclusion by a model that excludes nothing."""
    return False


def _unknown(context: str, continuation: str) -> None:
    """Token counts of a backend that does not tell them."""


@lru_cache(maxsize=8)
def _own_tasks(metadata: str) -> TaskManager:
    """lm-eval's task index with our tasks alone, which reach their settings as metadata."""
    return TaskManager(
        include_path=str(paths.shared("tasks")), include_defaults=False, metadata=json.loads(metadata)
    )


def _set_shots(name: str, task: Any, shots: int | None, seed: int) -> None:
    """Number and seed of the shots, as `lm_eval.simple_evaluate` sets them, but never silently not."""
    own = task.get_config("num_fewshot")
    if shots is not None and own == 0 and shots > 0:
        raise RunError(
            f"lm-eval's task '{name}' fixes its number of shots to 0 (its prompt has them, or they make no "
            f"sense there), so {shots} shots cannot be given. Take num_fewshot out of the entry."
        )
    task.set_config(key="num_fewshot", value=own or 0 if shots is None else shots)
    task.set_fewshot_seed(seed=seed)


def _seed_all(seed: int) -> None:
    """Seed the global generators that lm-eval and its tasks draw from."""
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - tasks of lm-eval draw from this one
    torch.manual_seed(seed)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep lm-eval's narration and everybody's bars off the terminal; warnings still come through."""
    logger, tasks = logging.getLogger("lm_eval"), logging.getLogger(lm_eval.api.task.__name__)
    level = logger.level
    had_bars = datasets.are_progress_bars_disabled()
    bar: Callable[..., Any] = lm_eval.api.task.tqdm
    logger.setLevel(logging.WARNING)
    tasks.addFilter(_is_news)
    datasets.disable_progress_bars()
    lm_eval.api.task.tqdm = partial(bar, disable=True)
    try:
        yield
    finally:
        logger.setLevel(level)
        tasks.removeFilter(_is_news)
        lm_eval.api.task.tqdm = bar
        if not had_bars:
            datasets.enable_progress_bars()


def _is_news(record: logging.LogRecord) -> bool:
    """lm-eval announces every task that builds its own data with a hint about its command line."""
    return "Custom kwargs can be passed" not in record.getMessage()
